/* A mirror in memory: what real ones do with parcels, and what goes wrong. */
#ifndef TEST_FAKE_MIRROR_H
#define TEST_FAKE_MIRROR_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/spool/mirror.h"

struct fake_row {
	enum parcel_kind kind; /* MESSAGE, UNIT, CONTENT, HOLD */
	uint64_t id, offset;
	char domain[256];
	struct buf state, row;
	bool is_incoming; /* MESSAGE: taken over, and not told of */
};

/* What becomes of the next parcels. */
enum fake_fault {
	FAKE_WELL,
	FAKE_LOST,	 /* it never arrives */
	FAKE_UNSENT,	 /* it is not sent, and that is known */
	FAKE_UNANSWERED, /* it arrives, and nobody hears of it */
};

struct fake_mirror {
	pthread_mutex_t lock;
	struct fake_row *rows;
	size_t n;
	uint64_t seq;
	_Atomic enum fake_fault fault;
	atomic_uint offered, waited, joined;
	enum mx_err last; /* writer */
	size_t largest;	  /* parcel, in bytes */
};

extern const struct spool_mirror_ops fake_mirror_ops;

void fake_mirror_init(struct fake_mirror *m);
void fake_mirror_fini(struct fake_mirror *m);
/* All that is in a parcel, as one transaction; and its number. */
void fake_mirror_apply(struct fake_mirror *m, const struct parcel *p,
		       uint64_t seq);
/* A row; NULL: there is none. */
struct fake_row *fake_mirror_find(struct fake_mirror *m, enum parcel_kind kind,
				  uint64_t id, uint64_t offset,
				  const char *domain);
size_t fake_mirror_count(struct fake_mirror *m, enum parcel_kind kind);
/* The content of a message, whole. */
void fake_mirror_content(struct fake_mirror *m, uint64_t id, struct buf *out);
void fake_mirror_copy(struct fake_mirror *to, struct fake_mirror *from);

/*
 * Has it what the spool has, and nothing else?  While nothing is written.  False:
 * why says what differs.
 */
bool fake_mirror_equals(struct fake_mirror *m, struct spool *sp,
			struct buf *why);

#endif

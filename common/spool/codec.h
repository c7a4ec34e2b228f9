/* Values of the tables: what a row says, as bytes. */
#ifndef MX_SPOOL_CODEC_H
#define MX_SPOOL_CODEC_H

#include "common/spool/record.h"

/*
 * Pure functions: no value of a damaged database makes them read outside it;
 * what does not decode to the last byte is false.  Spans of a decoded record
 * borrow from the value.  Each record begins with its version, so that a
 * later daemon can read what an earlier one wrote.
 */
enum {
	RECORD_VERSION = 1,
	RECORD_TEXT_MAX = 512,	  /* replies and hosts are cut to this */
	RECORD_SPAN_MAX = 0xffff, /* any other string */
};

/* A message row says, beside the envelope, how many units are left. */
size_t envelope_size(const struct envelope *e);
char *envelope_put(char *p, const struct envelope *e, uint32_t units);
bool envelope_get(struct span value, struct envelope *e, uint32_t *units);
/* Change the count inside a row of valid size. */
void envelope_set_units(char *value, uint32_t units);
/* Could it be stored?  False: a string is longer than a record takes. */
bool envelope_fits(const struct envelope *e);

struct recipient_row {
	struct recipient r; /* number and domain stand in the key */
	int64_t expires_ms, warn_ms;
};
size_t recipient_size(const struct recipient_row *row);
char *recipient_put(char *p, const struct recipient_row *row);
bool recipient_get(struct span value, struct recipient_row *row);

/* The name stands in the key: get leaves it alone. */
enum { DOMAIN_ROW_MAX = 1 + 9 * 8 + 1 + 2 + 256 + 2 + 512 };
struct domain_row {
	struct spool_domain d; /* counters as if the domain were not held */
	uint64_t oldest_id;
};
char *domain_row_put(char *p, const struct domain_row *row);
bool domain_row_get(struct span value, struct domain_row *row);

enum { TARGET_ROW_MAX = 1 + 1 + 8 + 4 + 2 + 512 + 2 + 256 + 8 + 8 };
char *target_row_put(char *p, const struct spool_target *t);
bool target_row_get(struct span value, struct spool_target *t);

enum { KNOWN_ROW_MAX = 3 + 3 * 8 + 2 + SPOOL_KNOWN_REPLY_MAX };
char *known_row_put(char *p, const struct spool_known *k);
bool known_row_get(struct span value, struct spool_known *k);

/* When a unit that is not ready may go again; PARKED_HELD: when released, and
 * then why it is held (it may be empty; it is cut to PARKED_REASON_MAX);
 * PARKED_REFUSED: its recipients say. */
#define PARKED_HELD INT64_MAX
#define PARKED_REFUSED (INT64_MAX - 1)
enum { PARKED_REASON_MAX = 255, PARKED_ROW_MAX = 9 + 2 + PARKED_REASON_MAX };
char *parked_put(char *p, int64_t due_ms, struct span reason);
bool parked_get(struct span value, int64_t *due_ms, struct span *reason);

/* The row "state" of meta: what a commit leaves behind for the next start. */
enum { STATE_ROW_SIZE = 1 + 3 * 8 };
struct state_row {
	uint64_t bytes;	  /* content of all messages */
	uint64_t last_id; /* the highest handed out */
	int64_t wall_ms;  /* the time of the commit, as we believed it */
};
char *state_row_put(char *p, const struct state_row *row);
bool state_row_get(struct span value, struct state_row *row);

/*
 * The row "shift" of meta, while lifetimes are moved: what arrived at until_ms
 * or before, of the messages up to last_id, ends by_ms later; done up to pos.
 */
enum { SHIFT_ROW_SIZE = 1 + 4 * 8 };
struct shift_row {
	int64_t by_ms; /* 0: there is none */
	int64_t until_ms;
	uint64_t last_id, pos;
};
char *shift_row_put(char *p, const struct shift_row *row);
bool shift_row_get(struct span value, struct shift_row *row);

#endif

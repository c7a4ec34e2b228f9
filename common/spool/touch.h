/*
 * What a transaction of the writer changes that a mirror has to hear of.
 * Without a mirror nothing is kept.
 */
#ifndef MX_SPOOL_TOUCH_H
#define MX_SPOOL_TOUCH_H

#include "common/spool/spool_priv.h"

/* In the order in which those of one message are looked at. */
enum touch_kind {
	TOUCH_FIRST, /* nothing of its content was stored before */
	TOUCH_WHOLE, /* its row and all of its units */
	TOUCH_DRAFT_GONE, /* content that never became a message */
	TOUCH_CONTENT,	  /* the row at an offset */
	TOUCH_UNIT,	  /* of a domain; or it went */
	TOUCH_HOLD,	  /* of a domain, no message's: id is 0 */
};

struct touch {
	uint64_t id, offset;
	enum touch_kind kind;
	size_t name_at, name_n; /* of the domain, in touches.names */
};

void touch_message(struct batch *b, uint64_t id, enum touch_kind kind);
void touch_content(struct batch *b, uint64_t id, uint64_t offset);
void touch_unit(struct batch *b, uint64_t id, struct span domain);
void touch_hold(struct batch *b, struct span domain);

struct span touch_domain(const struct touches *t, const struct touch *one);
/* By id (holds first), kind, offset and domain; each once. */
void touches_sort(struct touches *t);
void touches_free(struct touches *t);

#endif

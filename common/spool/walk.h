/* Units of a domain, some hundred a transaction; and those of a message. */
#ifndef MX_SPOOL_WALK_H
#define MX_SPOOL_WALK_H

#include "common/spool/find.h"

enum { WALK_STEP = 500 }; /* of b->work in one transaction, roughly */

typedef enum mx_err walk_fn(struct batch *b, struct request *r,
			    struct found *u);

/*
 * Each unit of the domain in these tables (IN_READY...), by id, up to until_id:
 * those above it came later.  r->pos is the last one done; r->again: there are
 * more, for the next transaction.
 */
enum mx_err walk_domain(struct batch *b, struct request *r, unsigned where,
			struct span domain, uint64_t until_id, walk_fn *fn);

/* All units of a message at once, *n of them. */
enum mx_err walk_message(struct batch *b, struct request *r, uint64_t id,
			 walk_fn *fn, size_t *n);

#endif

#include "common/spool/walk.h"

enum mx_err walk_domain(struct batch *b, struct request *r, unsigned where,
			struct span domain, uint64_t until_id, walk_fn *fn)
{
	enum mx_err err = MX_OK;

	while (err == MX_OK && b->work < WALK_STEP) {
		struct found u;
		uint64_t id;

		err = find_first(b->sp, b->txn, where, domain, r->pos + 1, &id);
		if (err != MX_OK || id > until_id || id == UINT64_MAX)
			return err;
		err = find_unit(b->sp, b->txn, id, domain, &u);
		if (err == MX_OK)
			err = fn(b, r, &u);
		b->work++;
		r->pos = id;
	}
	r->again = err == MX_OK;
	return err;
}

enum mx_err walk_message(struct batch *b, struct request *r, uint64_t id,
			 walk_fn *fn, size_t *n)
{
	char name[KEY_DOMAIN_MAX];
	size_t name_n = FIND_FIRST;
	enum mx_err err;

	*n = 0;
	while ((err = find_next_domain(b->sp, b->txn, id, name, &name_n)) ==
	       MX_OK) {
		struct found u;

		err = find_unit(b->sp, b->txn, id, span_of(name, name_n), &u);
		if (err == MX_OK)
			err = fn(b, r, &u);
		if (err != MX_OK)
			return err == MX_ENOENT ? MX_ECORRUPT : err;
		b->work++;
		(*n)++;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

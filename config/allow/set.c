#include "config/allow/set.h"

#include "common/base/assert.h"
#include "common/base/hash.h"
#include "common/smtp/address.h"

/* local NUL domain: a quoted local part may hold any sign but that one. */
static uint64_t hash_recipient(struct span local, struct span domain)
{
	char text[SMTP_CANON_MAX + 1 + SMTP_DOMAIN_MAX];
	size_t n = local.n;

	if (n > 0) /* "" is a local part, too */
		memcpy(text, local.p, n);
	if (domain.n > 0) {
		text[n++] = '\0';
		memcpy(text + n, domain.p, domain.n);
		n += domain.n;
	}
	uint64_t hash = hash_keyed((struct span){ text, n });
	return hash != 0 ? hash : 1;
}

/* The slot that holds the hash, or the free one where it belongs; there is
 * always a free one. */
static uint64_t *locate(const struct set *set, uint64_t hash)
{
	/* the upper half scaled to the room: no division */
	size_t i = (size_t)((hash >> 32) * set->room >> 32);

	while (set->slots[i] != 0 && set->slots[i] != hash)
		if (++i == set->room)
			i = 0;
	return &set->slots[i];
}

void set_init(struct set *set, struct pool *pool, size_t recipients)
{
	MX_ASSERT(recipients < SET_MAX);
	/* at most two thirds full */
	set->room = (uint32_t)(recipients + recipients / 2 + 1);
	set->slots = pool_alloc_array(pool, set->room, sizeof(uint64_t));
}

enum set_added set_add(struct set *set, struct span local, struct span domain)
{
	uint64_t hash = hash_recipient(local, domain);
	uint64_t *slot = locate(set, hash);

	if (*slot == hash) /* listed twice: harmless */
		return SET_OLD;
	if (set->used + 1 >= set->room)
		return SET_FULL;
	*slot = hash;
	set->used++;
	set->locals += domain.n == 0;
	return SET_NEW;
}

bool set_has(const struct set *set, struct span local, struct span domain)
{
	const struct span none = { "", 0 };

	return (set->locals > 0 &&
		*locate(set, hash_recipient(local, none)) != 0) ||
	       (set->used > set->locals &&
		*locate(set, hash_recipient(local, domain)) != 0);
}

#include "common/spool/fair.h"

#include "common/spool/spool_priv.h"
#include "common/spool/room.h"

/*
 * Whose mail fits, when not all does?  A domain whose primary is away for days
 * would fill the spool and keep everybody else's mail out.  So in the last
 * fifth of it (when it is "tight")
 *
 *   used                         | left
 *   ============ 80 % ===========|= for who has little =|= for what flows =|
 *
 * no domain may hold more than is left for all others, which takes from those
 * that hold much and gives to those that hold little, whatever their number;
 * and half of that fifth is only for domains whose mail leaves at once.  The
 * first message of a domain is taken wherever it fits: on a small spool it may
 * be larger than any share.
 *
 * What a domain has on the shelf counts like all it holds: the room is gone for
 * the others, whatever is to become of it.  (Its quota is of what waits alone.)
 *
 * Two look-ups and a few numbers at hand: the queue's length is no matter.
 */
enum {
	FLOW_PART = 10,
	UNIT_BYTES = 2 << 10, /* of a message beside its content, page ends and
				 rows, roughly */
};

static uint64_t held_by(const struct spool_domain *d)
{
	return d->bytes + d->units * UNIT_BYTES;
}

bool fair_allows(const struct spool *sp, const struct spool_domain *d,
		 uint64_t bytes, uint64_t coming, enum spool_claim claim)
{
	uint64_t left = room_left(sp, false), kept = 0;

	if (claim == SPOOL_CLAIM_ALL || !room_is_tight(sp, coming))
		return true;
	/* what is held stays, whatever its primary does */
	if (claim == SPOOL_CLAIM_SHARE || d->is_held)
		kept = (atomic_load(&sp->room.used_bytes) + left) / FLOW_PART;
	if (left < coming + kept)
		return false;
	left -= coming + kept;
	return d->units == 0 || held_by(d) + bytes + UNIT_BYTES <= left;
}

bool spool_is_tight(const struct spool *sp, uint64_t bytes)
{
	return room_is_tight(sp, sp->room.reserved_bytes + room_need(bytes));
}

enum mx_err spool_domain_room(struct spool *sp, struct span domain,
			      uint64_t bytes, enum spool_claim claim)
{
	const uint64_t coming = sp->room.reserved_bytes + room_need(bytes);
	struct spool_domain row;
	enum mx_err err;

	err = spool_domain_get(sp, domain, &row);
	if (err != MX_OK && err != MX_ENOENT)
		return MX_OK; /* the writer will see */
	if (fair_allows(sp, &row, bytes, coming, claim))
		return MX_OK;
	room_is_wanted(sp);
	return MX_ESHARE;
}

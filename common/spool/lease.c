#include "common/spool/lease.h"

#include "common/base/clock.h"
#include "common/spool/note.h"

/*
 *            until           until + patience
 *   ----------|----------------------|------------> boot time
 *     all     |  what is absent from | all: a duplicate is better than a loss
 *             |  the mirror          |
 *
 * The clock is read at each call, so that a process that was stopped meanwhile
 * does not go on with what it believed before.  Who asked and did not hear of
 * his mail is told of all domains when that is over (announce.c).
 */
int64_t lease_now_ms(const struct spool *sp)
{
	int64_t (*clock)(void) = sp->mirror.clock;

	return clock != NULL ? clock() : clock_boot_ms();
}

bool lease_is_over(struct spool *sp)
{
	struct mirror_state *m = &sp->mirror;
	int64_t over_ms;

	if (!m->is_on)
		return false;
	over_ms = lease_now_ms(sp) - m->until_ms;
	if (over_ms < 0 || over_ms >= m->patience_ms)
		return false;
	m->has_withheld = true;
	return true;
}

bool lease_is_ours(struct spool *sp, MDB_txn *txn, uint64_t id)
{
	struct note note;

	return note_get(sp, txn, id, &note) == MX_OK &&
	       (note.kind == NOTE_ABSENT ||
		(note.kind == NOTE_NONE &&
		 id > atomic_load(&sp->mirror.walked)));
}

uint64_t lease_next(struct spool *sp, MDB_txn *txn, uint64_t id, bool is_down)
{
	const uint64_t walked = atomic_load(&sp->mirror.walked);
	uint64_t absent;

	if (id > walked)
		return id; /* whatever is not noted is ours */
	if (is_down)
		return note_last_absent(sp, txn, id, &absent) == MX_OK ? absent
								      : 0;
	if (note_next_absent(sp, txn, id, &absent) != MX_OK)
		absent = UINT64_MAX;
	return absent <= walked || walked == UINT64_MAX ? absent : walked + 1;
}

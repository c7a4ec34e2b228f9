#include "common/spool/lease.h"

#include "common/base/clock.h"
#include "common/spool/note.h"

/*
 *          over_ms               patient_ms
 *   ----------|----------------------|------------> boot time
 *     all     |  what is absent from | all: a duplicate is better than a loss
 *             |  the mirror          |
 *
 * What leaves while the mirror does not answer is delivered again if this node
 * is lost before it does: so it is over, too, from the first parcel that had no
 * answer (cut) to the next answer.
 *
 * The clock is read at each call, so that a process that was stopped meanwhile
 * does not go on with what it believed before.  Both ends are set by another
 * thread, one after the other: so that between the two nothing goes that does
 * not go before and behind.  Who asked and did not hear of
 * his mail is told of all domains when that is over (announce.c).
 */
int64_t lease_now_ms(const struct spool *sp)
{
	int64_t (*clock)(void) = sp->mirror.clock;

	return clock != NULL ? clock() : clock_boot_ms();
}

void lease_set(struct spool *sp, int64_t until_ms, int64_t patience_ms)
{
	struct mirror_state *m = &sp->mirror;
	int64_t patient_ms = until_ms > INT64_MAX - patience_ms
				     ? INT64_MAX
				     : until_ms + patience_ms;

	if (patient_ms >= atomic_load(&m->patient_ms)) {
		atomic_store(&m->patient_ms, patient_ms);
		atomic_store(&m->over_ms, until_ms);
	} else {
		atomic_store(&m->over_ms, until_ms);
		atomic_store(&m->patient_ms, patient_ms);
	}
	atomic_store(&m->is_cut, false);
}

void lease_cut(struct spool *sp)
{
	atomic_store(&sp->mirror.is_cut, true);
}

bool lease_is_over(struct spool *sp)
{
	struct mirror_state *m = &sp->mirror;
	int64_t now;

	if (!m->is_on)
		return false;
	now = lease_now_ms(sp);
	if ((now < atomic_load(&m->over_ms) && !atomic_load(&m->is_cut)) ||
	    now >= atomic_load(&m->patient_ms))
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

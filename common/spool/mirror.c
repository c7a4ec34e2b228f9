#include "common/spool/mirror.h"

#include <stdio.h>
#include <sys/random.h>

#include "common/base/log.h"
#include "common/spool/calm.h"
#include "common/spool/find.h"
#include "common/spool/announce.h"
#include "common/spool/look.h"
#include "common/spool/note.h"
#include "common/spool/pack.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"
#include "common/spool/walk.h"

/* ---- Its start ---- */

struct start {
	struct request req; /* count: messages that were noted */
	const struct spool_mirror_ops *ops;
	void *arg;
	unsigned char uuid[16];
};

/* A spool that is new to mirrors: the mirror has nothing of it. */
static enum mx_err walk_on(struct batch *b, struct request *r)
{
	uint64_t *walked = &b->mirror.walked;
	enum mx_err err = MX_OK;

	for (; *walked != UINT64_MAX && b->work < WALK_STEP; b->work++) {
		struct envelope env = { 0 };
		struct note old;

		err = find_next_message(b->sp, b->txn, *walked + 1, &env);
		if (err == MX_ENOENT) {
			*walked = UINT64_MAX;
			break;
		}
		if (err == MX_OK)
			err = note_get(b->sp, b->txn, env.id, &old);
		if (err == MX_OK && old.kind == NOTE_NONE)
			err = note_put(b, env.id,
				       (struct note){ .kind = NOTE_ABSENT });
		if (err != MX_OK)
			return err;
		*walked = env.id;
		r->count++;
	}
	r->again = *walked != UINT64_MAX;
	b->mirror_changed = true;
	return MX_OK;
}

static enum mx_err apply_start(struct batch *b, struct request *r)
{
	struct start *s = CONTAINER_OF(r, struct start, req);
	struct mirror_state *m = &b->sp->mirror;

	m->ops = s->ops;
	m->arg = s->arg;
	if (!m->is_kept) {
		memcpy(m->row.uuid, s->uuid, sizeof(s->uuid));
		memcpy(b->mirror.uuid, s->uuid, sizeof(s->uuid));
	}
	return walk_on(b, r);
}

static void finish(struct spool *sp, struct request *r)
{
	if (r->err != MX_OK && r->err != MX_EBUSY && r->err != MX_ESTOP)
		log_warn(EV_SPOOL, LOG_STR("what", r->ops->name),
			 LOG_STR("error", mx_strerror(r->err)));
	request_finish(sp, r);
}

static const struct request_ops start_ops = {
	.name = "mirror",
	.order = ORDER_BARRIER,
	.apply = apply_start,
	.finish = finish,
};

void spool_mirror_set_away(struct spool *sp, enum spool_mirror_away away)
{
	atomic_store(&sp->mirror.refuses, away == SPOOL_AWAY_REFUSE);
}

void spool_mirror_start(struct spool *sp, const struct spool_mirror_ops *ops,
			void *arg, enum spool_mirror_away away)
{
	struct start *s = request_new(&start_ops, sizeof(*s), NULL, 0);
	struct mirror_state *m = &sp->mirror;

	MX_ASSERT(!sp->is_reader && !m->is_on);
	spool_mirror_set_away(sp, away);
	if (!m->is_known)
		MX_ASSERT(getrandom(m->uuid, sizeof(m->uuid), 0) ==
			  sizeof(m->uuid));
	memcpy(s->uuid, m->uuid, sizeof(m->uuid));
	s->ops = ops;
	s->arg = arg;
	announce_start(sp);
	queue_push(sp, &s->req);
}

void spool_mirror_uuid(const struct spool *sp, char out[SPOOL_UUID_SIZE])
{
	const unsigned char *u = sp->mirror.uuid;

	snprintf(out, SPOOL_UUID_SIZE,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
		 "%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9],
		 u[10], u[11], u[12], u[13], u[14], u[15]);
}

uint64_t spool_mirror_seq(const struct spool *sp)
{
	return atomic_load(&sp->mirror.seq);
}

bool spool_mirror_knows(const struct spool *sp, uint64_t seq)
{
	return seq >= atomic_load(&sp->mirror.low) &&
	       seq <= atomic_load(&sp->mirror.seq);
}

/* ---- In step ---- */

static enum mx_err apply_join(struct batch *b, struct request *r)
{
	b->join = r; /* when all is applied: step.c */
	calm_end(b->sp);
	return MX_OK;
}

static const struct request_ops join_ops = {
	.name = "join",
	.order = ORDER_BARRIER,
	.mirrors = true,
	.apply = apply_join,
	.finish = finish,
};

void spool_mirror_join(struct spool *sp, spool_count_cb *cb, void *arg)
{
	queue_push(sp, request_ask(&join_ops, sizeof(struct request), NULL, 0,
				   cb, arg));
}

static void note_oldest(struct spool *sp, MDB_txn *txn, int64_t *oldest_ms)
{
	uint64_t absent = UINT64_MAX, stale = UINT64_MAX, id;
	struct note note;

	if (note_next_absent(sp, txn, 0, &absent) != MX_OK)
		absent = UINT64_MAX;
	if (note_next_stale(sp, txn, 0, &stale, &note) != MX_OK)
		stale = UINT64_MAX;
	id = absent < stale ? absent : stale;
	*oldest_ms = id == UINT64_MAX ? 0 : (int64_t)(id >> 20);
}

enum mx_err spool_mirror_lag(struct spool *sp, struct spool_mirror_lag *out)
{
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	*out = (struct spool_mirror_lag){ 0 };
	if (err != MX_OK)
		return err;
	out->is_in_step = atomic_load(&sp->mirror.is_in_step);
	err = note_count(sp, txn, &out->lacking);
	note_oldest(sp, txn, &out->oldest_ms);
	read_end(sp);
	return err;
}

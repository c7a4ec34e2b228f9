#include <stdio.h>

#include "common/base/clock.h"
#include "daemon/mirror/taker_priv.h"

/* Short for what is asked, and long enough for a transaction that moves
 * messages: nobody waits for it but the next one. */
int64_t taker_timeout(const struct taker *t)
{
	enum { LEAST_MS = 5000 };
	int64_t ms = atomic_load(&t->m->lease_ms);

	return ms > LEAST_MS ? ms : LEAST_MS;
}

/* The columns of SQL_NODES. */
enum {
	OWNER,
	NAME,
	VERSION,
	HAS_LEFT,
	GIVEN,
	LEASE_LEFT,
	LENGTH,
	SEEN,
	MESSAGES,
	TAKEN,
	TAKEN_BY,
	IS_OVER,
	HAS_MAIL
};

static void copy_text(char *out, size_t size, struct span s)
{
	snprintf(out, size, "%.*s", (int)(s.n < size ? s.n : size - 1), s.p);
}

static void read_node(struct taker *t, size_t i, struct mirror_node *n)
{
	struct db *db = t->db;

	*n = (struct mirror_node){
		.owner = db_number(db, 0, i, OWNER),
		.has_left = db_number(db, 0, i, HAS_LEFT) != 0,
		.is_given = db_number(db, 0, i, GIVEN) != 0,
		.lease_ms = db_number(db, 0, i, LEASE_LEFT),
		.seen_ms = db_number(db, 0, i, SEEN),
		.messages = (uint64_t)db_number(db, 0, i, MESSAGES),
		.taken = (uint64_t)db_number(db, 0, i, TAKEN),
	};
	n->is_self = n->owner == board_who(t->m).owner;
	copy_text(n->name, sizeof(n->name), db_column(db, 0, i, NAME));
	copy_text(n->version, sizeof(n->version), db_column(db, 0, i, VERSION));
	copy_text(n->taken_by, sizeof(n->taken_by),
		  db_column(db, 0, i, TAKEN_BY));
}

/* The one of this owner, or a free one. */
static struct lease_watch *watch_of(struct taker *t, int64_t owner)
{
	size_t i = 0;

	while (i < MIRROR_NODES - 1 && t->watches[i].owner != 0 &&
	       t->watches[i].owner != owner)
		i++;
	if (t->watches[i].owner != owner)
		t->watches[i] = (struct lease_watch){ .owner = 0 };
	return &t->watches[i];
}

static void judge(struct taker *t, size_t i, const struct mirror_node *n)
{
	const struct lease_row row = {
		.owner = n->owner,
		.seen_ms = n->seen_ms,
		.length_ms = db_number(t->db, 0, i, LENGTH),
		.is_over = db_number(t->db, 0, i, IS_OVER) != 0,
		.is_free = n->has_left || n->is_given,
	};
	bool may = lease_watch(watch_of(t, n->owner), &row, clock_mono_ms());
	struct victim *v = &t->victims[t->victim_count];

	if (!may || n->is_self || db_number(t->db, 0, i, HAS_MAIL) == 0)
		return;
	v->owner = n->owner;
	v->messages = n->messages;
	memcpy(v->name, n->name, sizeof(v->name));
	t->victim_count++;
}

enum mx_err taker_look(struct taker *t)
{
	struct mirror_node nodes[MIRROR_NODES];
	size_t count;
	enum mx_err err;

	db_send(t->db, SQL_NODES, NULL);
	err = db_run(t->db, taker_timeout(t));
	if (err != MX_OK)
		return err;
	count = db_rows(t->db, 0);
	t->victim_count = 0;
	for (size_t i = 0; i < count && i < MIRROR_NODES; i++) {
		read_node(t, i, &nodes[i]);
		judge(t, i, &nodes[i]);
	}
	pthread_mutex_lock(&t->m->lock);
	memcpy(t->m->status.nodes, nodes, count * sizeof(*nodes));
	t->m->status.node_count = count;
	t->m->status.nodes_ms = clock_wall_ms();
	pthread_mutex_unlock(&t->m->lock);
	return MX_OK;
}

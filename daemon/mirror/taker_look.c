#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
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
	HAS_MAIL,
	STOPPED
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
		.is_stopped = db_number(db, 0, i, STOPPED) != 0,
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

/* What was known of this owner, the last time we looked; or nothing. */
static struct lease_watch watch_of(const struct lease_watch *all, int64_t owner)
{
	for (size_t i = 0; i < MIRROR_NODES; i++)
		if (all[i].owner == owner)
			return all[i];
	return (struct lease_watch){ .owner = 0 };
}

/* Once for each change.  What has nothing and is over for long has had its
 * line, from whoever saw it then. */
static void log_change(const struct taker *t, const struct mirror_node *n,
		       bool was_over, bool is_over)
{
	bool is_news = n->messages > 0 || n->lease_ms > -HOURS(1);

	if (n->is_self || n->has_left || n->is_given || n->is_stopped ||
	    !is_news || was_over == is_over)
		return;
	log_at(is_over ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, EV_MIRROR,
	       LOG_STR("node", t->m->node), LOG_STR("other", n->name),
	       LOG_STR("state", is_over ? "over" : "alive"),
	       LOG_INT("messages", n->messages));
}

/* Two machines with one configuration: each is a node of its own, but nobody
 * can tell which is meant. */
static void log_doubled(struct taker *t, const struct mirror_node *nodes,
			size_t count)
{
	const char *name = NULL;

	for (size_t i = 1; i < count; i++) /* they are sorted */
		for (size_t k = i; nodes[i].lease_ms > 0 && k-- > 0 &&
				   strcmp(nodes[i].name, nodes[k].name) == 0;)
			if (nodes[k].lease_ms > 0)
				name = nodes[i].name;
	if (name != NULL && !t->is_doubled)
		log_warn(EV_MIRROR, LOG_STR("node", t->m->node),
			 LOG_STR("other", name), LOG_STR("state", "doubled"),
			 LOG_STR("error", "two nodes have this name: give each "
					  "its own mirror.node"));
	t->is_doubled = name != NULL;
}

/* The row has a watch of its own, so that those of nodes that are no more are
 * forgotten. */
static void judge(struct taker *t, size_t i, const struct mirror_node *n,
		  const struct lease_watch *before)
{
	const struct lease_row row = {
		.owner = n->owner,
		.seen_ms = n->seen_ms,
		.length_ms = db_number(t->db, 0, i, LENGTH),
		.is_over = db_number(t->db, 0, i, IS_OVER) != 0,
		.is_free = n->has_left || n->is_given,
	};
	struct victim *v = &t->victims[t->victim_count];
	bool was_over, may;

	t->watches[i] = watch_of(before, n->owner);
	was_over = t->watches[i].is_over;
	may = lease_watch(&t->watches[i], &row, clock_mono_ms());
	log_change(t, n, was_over, may);
	t->watches[i].is_over = may;
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
	struct lease_watch before[MIRROR_NODES];
	size_t count;
	enum mx_err err;

	db_send(t->db, SQL_NODES, NULL);
	err = db_run(t->db, taker_timeout(t));
	if (err != MX_OK)
		return err;
	count = db_rows(t->db, 0);
	MX_ASSERT(count <= MIRROR_NODES);
	memcpy(before, t->watches, sizeof(before));
	memset(t->watches, 0, sizeof(t->watches));
	t->victim_count = 0;
	for (size_t i = 0; i < count; i++) {
		read_node(t, i, &nodes[i]);
		judge(t, i, &nodes[i], before);
	}
	log_doubled(t, nodes, count);
	pthread_mutex_lock(&t->m->lock);
	memcpy(t->m->status.nodes, nodes, count * sizeof(*nodes));
	t->m->status.node_count = count;
	t->m->status.nodes_ms = clock_wall_ms();
	pthread_mutex_unlock(&t->m->lock);
	return MX_OK;
}

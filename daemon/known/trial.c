/*
 * Does a primary take everyone?  A recipient that nobody has is asked for, once
 * a day and domain, before anything is learned.  What was learned meanwhile
 * waits for the answer.
 *
 *                 something is to be learned
 *   not known, ---------------------------> asking --no--> selective: learned
 *   or a day old                              | \---yes--> catch-all: dropped
 *        ^                                    |
 *        +------ nothing was said: dropped ---+   (and again in ten minutes)
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/known/known_priv.h"

enum {
	TRIALS_MAX = 4096, /* domains remembered here */
	WAITING_MAX = 256, /* rows of one that wait */
	AGAIN_MS = 600000,
};

struct waiting {
	STAILQ_ENTRY(waiting) link;
	struct known_key key;
	struct spool_known row;
};

/* It is asking, or was told nothing not long ago. */
struct trial {
	UT_hash_handle hh;
	struct known *known;
	void *question; /* NULL: not now */
	int64_t again_ms;
	uint64_t destination;
	STAILQ_HEAD(, waiting) waiting;
	size_t waiting_count;
	size_t domain_len;
	char domain[];
};

static void drop_waiting(struct trial *t)
{
	struct waiting *w;

	while ((w = STAILQ_FIRST(&t->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->waiting, link);
		free(w);
	}
	t->waiting_count = 0;
}

static void trial_free(struct trial *t)
{
	drop_waiting(t);
	HASH_DEL(t->known->trials, t);
	free(t);
}

void trial_stop_all(struct known *k)
{
	struct trial *t, *tmp;

	HASH_ITER (hh, k->trials, t, tmp) {
		if (t->question != NULL)
			k->hooks.cancel(t->question, k->hooks.arg);
		trial_free(t);
	}
}

static struct span domain_of(const struct trial *t)
{
	return span_of(t->domain, t->domain_len);
}

/* ---- The answer ---- */

static void learn_waiting(struct trial *t)
{
	struct waiting *w;

	STAILQ_FOREACH (w, &t->waiting, link)
		row_put(t->known, &w->key, &w->row);
}

static void say(struct trial *t, bool is_catch_all, struct span reply)
{
	log_info(EV_CATCH_ALL, LOG_SPAN("domain", domain_of(t)),
		 LOG_STR("result", is_catch_all ? "takes everyone: nothing is "
						  "learned"
						: "refuses strangers again"),
		 LOG_SPAN("reply", reply));
}

static void conclude(struct trial *t, bool is_catch_all, struct span reply)
{
	struct known *k = t->known;
	struct known_key key = key_of(k, domain_of(t), SPAN_LIT(""));
	struct spool_known row = {
		.what = is_catch_all ? KNOWN_CATCH_ALL : KNOWN_SELECTIVE,
		.is_asked = true,
		.at_ms = clock_wall_ms(),
		.destination = t->destination,
	};
	struct spool_known was;
	bool was_catch_all = row_get(k, &key, &was) &&
			     was.what == KNOWN_CATCH_ALL;

	row.down_ms = downtime_total(k->downtime, row.destination, row.at_ms);
	snprintf(row.reply, sizeof(row.reply), "%.*s", SPAN_ARG(reply));
	row_put(k, &key, &row);
	if (was_catch_all != is_catch_all)
		say(t, is_catch_all, reply);
	if (!is_catch_all)
		learn_waiting(t);
}

static void on_said(enum known_said said, struct span reply, void *arg)
{
	struct trial *t = arg;

	t->question = NULL;
	/* that nobody has it is true, early or not */
	if (said == SAID_YES || said == SAID_NO || said == SAID_EARLY) {
		conclude(t, said == SAID_YES, reply);
		trial_free(t);
		return;
	}
	drop_waiting(t);
	t->again_ms = clock_mono_ms() + AGAIN_MS;
}

/* ---- The question ---- */

/* Those that may be asked again. */
static void make_room(struct known *k)
{
	struct trial *t, *tmp;

	if (HASH_COUNT(k->trials) < TRIALS_MAX)
		return;
	HASH_ITER (hh, k->trials, t, tmp)
		if (t->question == NULL && clock_mono_ms() >= t->again_ms)
			trial_free(t);
}

static struct trial *trial_of(struct known *k, struct span domain)
{
	struct trial *t;

	HASH_FIND(hh, k->trials, domain.p, domain.n, t);
	if (t != NULL)
		return t;
	make_room(k);
	if (HASH_COUNT(k->trials) >= TRIALS_MAX)
		return NULL;
	t = mx_alloc(sizeof(*t) + domain.n);
	t->known = k;
	STAILQ_INIT(&t->waiting);
	memcpy(t->domain, domain.p, domain.n);
	t->domain_len = domain.n;
	HASH_ADD_KEYPTR(hh, k->trials, t->domain, t->domain_len, t);
	return t;
}

static void ask(struct trial *t, int64_t now_ms)
{
	struct known *k = t->known;
	struct buf mailbox = { 0 };

	key_nobody(k, domain_of(t), now_ms, &mailbox);
	buf_addf(&mailbox, "@%.*s", SPAN_ARG(domain_of(t)));
	t->question = k->hooks.ask(domain_of(t), buf_span(&mailbox), on_said, t,
				   k->hooks.arg);
	buf_fini(&mailbox);
}

static void wait_for(struct trial *t, const struct known_key *key,
		     const struct spool_known *row)
{
	struct waiting *w;

	if (t->waiting_count >= WAITING_MAX)
		return;
	w = mx_alloc(sizeof(*w));
	w->key = *key;
	w->row = *row;
	t->waiting_count++;
	STAILQ_INSERT_TAIL(&t->waiting, w, link);
}

void trial_learn(struct known *k, struct span domain,
		 const struct known_key *key, const struct spool_known *row,
		 int64_t now_ms)
{
	struct known_key of_domain = key_of(k, domain, SPAN_LIT(""));
	struct spool_known state, fresh = *row;
	struct trial *t;

	if (row_get(k, &of_domain, &state) &&
	    row_is_fresh(k, &state, row->destination, now_ms)) {
		if (state.what == KNOWN_SELECTIVE)
			row_put(k, key, &fresh);
		return;
	}
	t = k->hooks.ask != NULL ? trial_of(k, domain) : NULL;
	if (t == NULL)
		return;
	t->destination = row->destination;
	if (t->question == NULL && clock_mono_ms() >= t->again_ms)
		ask(t, now_ms);
	if (t->question != NULL)
		wait_for(t, key, row);
}

bool trial_look(struct known *k, struct span domain,
		const struct known_key *key, struct spool_known *out)
{
	const struct waiting *w;
	struct trial *t;
	bool found = false;

	HASH_FIND(hh, k->trials, domain.p, domain.n, t);
	if (t == NULL)
		return false;
	STAILQ_FOREACH (w, &t->waiting, link) {
		if (memcmp(w->key.b, key->b, sizeof(key->b)) != 0)
			continue;
		*out = w->row; /* the last one counts */
		found = true;
	}
	return found;
}

void trial_forget(struct known *k, struct span domain,
		  const struct known_key *key)
{
	struct waiting *w, *next;
	struct trial *t;

	HASH_FIND(hh, k->trials, domain.p, domain.n, t);
	for (w = t != NULL ? STAILQ_FIRST(&t->waiting) : NULL; w != NULL;
	     w = next) {
		next = STAILQ_NEXT(w, link);
		if (memcmp(w->key.b, key->b, sizeof(key->b)) != 0)
			continue;
		STAILQ_REMOVE(&t->waiting, w, waiting, link);
		t->waiting_count--;
		free(w);
	}
}

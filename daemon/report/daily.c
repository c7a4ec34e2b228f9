#include "daemon/report/daily.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "config/allow/domains.h"
#include "daemon/report/digest.h"

enum {
	MAGIC = 0x64696765,
	FIRST_S = 1, /* after the start: a day may have been missed */
	LOOK_S = 300,
	SOON_S = 1, /* there are more */
	BATCH = 16, /* digests of one look */
	NICE = 10,
};

#define LIFETIME_MAX_MS DAYS(5)
#define KEPT_MS DAYS(366)

/* Of a domain that was looked at: its digest, or that there is no news. */
struct made {
	char name[256]; /* what digest.domain borrows */
	struct digest digest;
	int64_t until_ms; /* what it is about */
	bool has_news;
};

struct daily {
	unsigned magic;
	struct ev_loop *loop;
	struct spool *spool;
	struct config *config;
	ev_timer timer;
	ev_async done;
	bool is_closed;	  /* freed when the last commit is known */
	unsigned pending; /* commits */
	pthread_t thread;
	bool has_thread; /* to be joined */
	atomic_bool is_stopping;
	/* the thread's until it has said done */
	struct spool *view;
	struct config *using;
	int64_t now_ms;
	struct made made[BATCH];
	size_t count;
	char after[256]; /* where the look goes on; "": at the beginning */
};

/* ---- The fact ---- */

static bool fact_get(struct span value, int64_t *until_ms, uint64_t *id)
{
	struct span line = span_cut(&value, '\n');
	uint64_t ms;

	if (!span_u64(span_cut(&line, ' '), &ms) || ms > INT64_MAX ||
	    !span_u64(line, id))
		return false;
	*until_ms = (int64_t)ms;
	return true;
}

static void fact_key(struct buf *out, struct span domain)
{
	buf_add(out, DAILY_PREFIX);
	buf_add(out, domain);
}

bool daily_is_over(struct span key, struct span value, int64_t now_ms)
{
	int64_t until_ms;
	uint64_t id;

	return span_starts(key, DAILY_PREFIX) &&
	       (!fact_get(value, &until_ms, &id) ||
		until_ms < now_ms - KEPT_MS);
}

/* ---- The thread: what is there to say? ---- */

static bool is_there(const struct unit *u, void *arg)
{
	(void)u;
	*(bool *)arg = true;
	return false;
}

/* Is one due?  No: none is, or the last one is still here. */
static bool is_due(struct daily *d, struct span name, struct digest_span *out)
{
	struct buf key = { 0 }, value = { 0 };
	bool waits = false;
	int64_t last_ms = 0;
	uint64_t id = 0;

	fact_key(&key, name);
	if (spool_fact_get(d->view, buf_span(&key), &value) == MX_OK &&
	    fact_get(buf_span(&value), &last_ms, &id))
		(void)spool_message(d->view, id, is_there, &waits);
	buf_fini(&key);
	buf_fini(&value);
	return !waits && digest_due(name, last_ms, d->now_ms, out);
}

struct gathering {
	struct daily *daily;
	struct digest *digest;
};

static bool add_unit(const struct unit *u, void *arg)
{
	struct gathering *g = arg;

	digest_add(g->digest, u);
	return !atomic_load(&g->daily->is_stopping);
}

static bool add_outage(struct span key, struct span value, void *arg)
{
	struct gathering *g = arg;

	digest_add_outage(g->digest, key, value);
	return !atomic_load(&g->daily->is_stopping);
}

/* False: it is not known. */
static bool gather(struct daily *d, struct made *m,
		   const struct digest_span *about)
{
	struct gathering g = { d, &m->digest };
	struct span name = span_str(m->name);

	m->digest = (struct digest){
		.domain = name,
		.hostname = d->using->hostname,
		.about = *about,
		.shelf_ms = d->using->bounce.shelf_ms,
		.now_ms = d->now_ms,
	};
	m->until_ms = about->until_ms;
	if (spool_list_shelved(d->view, name, 0, add_unit, &g) != MX_OK ||
	    atomic_load(&d->is_stopping)) {
		digest_fini(&m->digest);
		return false;
	}
	m->has_news = m->digest.messages > 0;
	if (m->has_news)
		(void)spool_facts(d->view, OUTAGE_PREFIX, SPAN_LIT(""),
				  add_outage, &g);
	return true;
}

static bool look_at(const struct spool_domain *row, void *arg)
{
	struct daily *d = arg;
	struct made *m = &d->made[d->count];
	struct digest_span about;

	if (row->refused > 0 &&
	    domains_find(d->using->domains, span_str(row->name)) != NULL &&
	    is_due(d, span_str(row->name), &about)) {
		memcpy(m->name, row->name, sizeof(m->name));
		d->count += gather(d, m, &about);
	}
	memcpy(d->after, row->name, sizeof(d->after));
	return d->count < BATCH && !atomic_load(&d->is_stopping);
}

static void *look(void *arg)
{
	struct daily *d = arg;

	/* On Linux this is the thread's own; without it, no harm. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	(void)spool_domains(d->view, span_str(d->after), look_at, d);
	if (d->count < BATCH)
		d->after[0] = '\0';
	ev_async_send(d->loop, &d->done);
	return NULL;
}

/* ---- The loop: it becomes mail ---- */

struct sending {
	struct daily *daily;
	char name[256];
	uint64_t messages, recipients;
};

static void daily_end(struct daily *d)
{
	if (!d->is_closed || d->pending > 0)
		return;
	d->magic = 0;
	free(d);
}

static void again(struct daily *d, double after_s)
{
	ev_timer_stop(d->loop, &d->timer);
	ev_timer_set(&d->timer, after_s, 0.);
	ev_timer_start(d->loop, &d->timer);
}

static void on_committed(enum mx_err err, uint64_t id, void *arg)
{
	struct sending *s = arg;
	struct daily *d = s->daily;

	MX_ASSERT(d->magic == MAGIC && d->pending > 0);
	if (err == MX_OK)
		log_info(EV_DIGEST, LOG_ID("mid", id),
			 LOG_STR("domain", s->name),
			 LOG_INT("messages", s->messages),
			 LOG_INT("recipients", s->recipients));
	else
		log_warn(EV_DIGEST, LOG_STR("domain", s->name),
			 LOG_STR("error", mx_strerror(err)));
	free(s);
	d->pending--;
	daily_end(d);
}

/* It goes as mail of the domain does, from <> (RFC 5321 section 4.5.5). */
static void commit(struct daily *d, struct made *m, struct spool_draft *draft,
		   struct sending *s)
{
	const struct config_domain *row =
		domains_find(d->config->domains, span_str(m->name));
	int64_t life_ms = row != NULL ? row->lifetime_ms : LIFETIME_MAX_MS;
	struct envelope env = { .arrived_ms = d->now_ms,
				.proto = PROTO_LOCAL,
				.body = SMTP_BODY_7BIT,
				.is_dsn = true };
	struct buf path = { 0 };
	struct spool_rcpt rcpt;

	if (life_ms > LIFETIME_MAX_MS)
		life_ms = LIFETIME_MAX_MS;
	buf_addf(&path, "postmaster@%s", m->name);
	rcpt = (struct spool_rcpt){
		.path = buf_span(&path),
		.domain = span_str(m->name),
		.notify = SMTP_NOTIFY_NEVER,
		.expires_ms = d->now_ms + life_ms,
	};
	d->pending++;
	spool_commit(&draft, &env, &rcpt, 1, on_committed, s);
	buf_fini(&path);
}

static void print_fact(const struct made *m, uint64_t id, struct buf *key,
		       struct buf *value)
{
	fact_key(key, span_str(m->name));
	buf_addf(value, "%lld %llu\n", (long long)m->until_ms,
		 (unsigned long long)id);
}

/* All that waits was looked through for that: not again on this day. */
static void put_nothing(struct daily *d, const struct made *m)
{
	struct buf key = { 0 }, value = { 0 };

	print_fact(m, 0, &key, &value);
	spool_fact_put(d->spool, buf_span(&key), buf_span(&value));
	buf_fini(&key);
	buf_fini(&value);
}

static void put(struct daily *d, struct made *m)
{
	struct buf text = { 0 }, key = { 0 }, value = { 0 };
	struct spool_draft *draft;
	struct sending *s;

	if (spool_draft_new(d->spool, d->now_ms, DIGEST_BYTES_MAX, &draft) !=
	    MX_OK)
		return; /* no room: the next look finds it again */
	s = mx_alloc(sizeof(*s));
	s->daily = d;
	memcpy(s->name, m->name, sizeof(s->name));
	s->messages = m->digest.messages;
	s->recipients = m->digest.recipients;
	digest_build(&m->digest, spool_draft_id(draft), random_secret(), &text);
	spool_draft_write(draft, buf_span(&text));
	print_fact(m, spool_draft_id(draft), &key, &value);
	spool_draft_fact(draft, buf_span(&key), buf_span(&value));
	commit(d, m, draft, s);
	buf_fini(&text);
	buf_fini(&key);
	buf_fini(&value);
}

static void join(struct daily *d)
{
	if (!d->has_thread)
		return;
	pthread_join(d->thread, NULL);
	d->has_thread = false;
}

/* What was made, if it may still be sent, and what the thread had. */
static void take_made(struct daily *d, bool is_wanted)
{
	for (size_t i = 0; i < d->count; i++) {
		if (is_wanted && d->made[i].has_news)
			put(d, &d->made[i]);
		else if (is_wanted)
			put_nothing(d, &d->made[i]);
		digest_fini(&d->made[i].digest);
	}
	d->count = 0;
	config_unref(&d->using);
}

static void on_done(struct ev_loop *loop, ev_async *w, int revents)
{
	struct daily *d = w->data;

	(void)loop;
	(void)revents;
	MX_ASSERT(d->magic == MAGIC);
	if (!d->has_thread)
		return;
	join(d);
	take_made(d, d->config->bounce.digest && !spool_has_failed(d->spool));
	again(d, d->after[0] != '\0' ? SOON_S : LOOK_S);
}

/* Not before all of the last look are on disk: it is their facts that say what
 * was done. */
static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daily *d = w->data;

	(void)loop;
	(void)revents;
	MX_ASSERT(d->magic == MAGIC && !d->has_thread);
	if (!d->config->bounce.digest || d->pending > 0) {
		again(d, d->pending > 0 ? SOON_S : LOOK_S);
		return;
	}
	d->using = config_ref(d->config);
	d->now_ms = clock_wall_ms();
	d->has_thread = pthread_create(&d->thread, NULL, look, d) == 0;
	if (d->has_thread)
		return;
	config_unref(&d->using);
	again(d, LOOK_S);
}

/* ---- Life ---- */

struct daily *daily_new(struct ev_loop *loop, struct spool *sp,
			struct config *config)
{
	struct daily *d = mx_alloc(sizeof(*d));

	d->magic = MAGIC;
	d->loop = loop;
	d->spool = sp;
	d->view = spool_view(sp);
	d->config = config_ref(config);
	ev_async_init(&d->done, on_done);
	d->done.data = d;
	ev_async_start(loop, &d->done);
	ev_timer_init(&d->timer, on_timer, FIRST_S, 0.);
	d->timer.data = d;
	ev_timer_start(loop, &d->timer);
	return d;
}

void daily_reload(struct daily *d, struct config *config)
{
	struct config *old = d->config;

	d->config = config_ref(config);
	config_unref(&old);
}

void daily_free(struct daily **dp)
{
	struct daily *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	atomic_store(&d->is_stopping, true);
	join(d);
	take_made(d, false);
	ev_async_stop(d->loop, &d->done);
	ev_timer_stop(d->loop, &d->timer);
	spool_view_free(&d->view);
	config_unref(&d->config);
	d->is_closed = true;
	daily_end(d);
}

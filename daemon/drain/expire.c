/*
 * Time: delay warnings, and the end of the lifetime.  Whether the clock that
 * says so is to be believed is the spool's business
 * (common/spool/trusted_clock.h).
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/due.h"
#include "daemon/drain/expire.h"
#include "daemon/drain/give_up.h"
#include "daemon/drain/parked.h"
#include "daemon/drain/unlisted.h"

enum { BATCH = 32, WARNINGS_MAX = 32 };

/*
 * ---- Warnings: one report for the units of a message that are due ----
 *
 * With bounce.mode "proven" it waits for a word about the sender.  If that is
 * not a clear yes, nobody is warned.
 */

struct warning {
	TAILQ_ENTRY(warning) link; /* while that was asked */
	struct drain *drain;
	void *question;
	struct unit *units[BATCH];
	size_t count, rcpt_count;
};

static size_t list_delayed(struct drain *d, struct unit *u,
			   struct report_rcpt *out)
{
	struct span reply = give_up_reason(d, u);
	size_t n = 0;

	for (size_t i = 0; i < u->rcpt_count; i++) {
		const struct recipient *r = &u->rcpts[i];

		if (!report_is_due(&u->envelope, r, REPORT_DELAYED))
			continue;
		out[n++] = (struct report_rcpt){
			.rcpt = r,
			.action = REPORT_DELAYED,
			.status = SPAN_LIT("4.4.7"),
			.reply = r->last_reply.n > 0 ? r->last_reply : reply,
			.host = r->last_host,
			.attempt_ms = r->attempt_ms,
			.retry_until_ms = u->expires_ms,
		};
	}
	return n;
}

static void warning_free(struct warning *w)
{
	for (size_t i = 0; i < w->count; i++)
		unit_free(&w->units[i]);
	free(w);
}

/* With the first of them, which is recorded first, goes the report. */
static void warn(struct drain *d, const struct warning *w, bool is_allowed,
		 bool is_proven)
{
	struct unit *first = w->units[0];
	struct report_rcpt *rcpts =
		arena_alloc_array(&first->arena, w->rcpt_count, sizeof(*rcpts));
	struct spool_report report = { 0 };
	int64_t now = clock_wall_ms();
	size_t n = 0;

	for (size_t i = 0; is_allowed && i < w->count; i++)
		n += list_delayed(d, w->units[i], rcpts + n);
	if (n > 0 && report_make(d->spool, d->config, first, rcpts, n, now,
				 &report) != MX_OK)
		return; /* asked again at the next turn */
	if (n > 0 && is_proven)
		report_is_proven(&report);
	for (size_t i = 0; i < n; i++)
		log_info(EV_DELAYED, LOG_ID("mid", first->envelope.id),
			 LOG_PATH("to", rcpts[i].rcpt->path),
			 LOG_PATH("from", first->envelope.from),
			 LOG_ID("report", spool_draft_id(report.draft)));
	for (size_t i = 0; i < w->count; i++)
		spool_warned(d->spool, first->envelope.id, w->units[i]->domain,
			     n > 0 && i == 0 ? &report : NULL, NULL, NULL);
}

static void answered(struct warning *w)
{
	TAILQ_REMOVE(&w->drain->warnings, w, link);
	w->drain->warning_count--;
}

static void on_proof(enum proof proof, void *arg)
{
	struct warning *w = arg;

	answered(w);
	warn(w->drain, w, proof == PROOF_PASS, proof == PROOF_PASS);
	warning_free(w);
}

static bool is_asked(const struct drain *d, uint64_t id)
{
	const struct warning *w;

	TAILQ_FOREACH (w, &d->warnings, link)
		if (w->units[0]->envelope.id == id)
			return true;
	return false;
}

static bool is_anybody_warned(const struct warning *w)
{
	for (size_t i = 0; i < w->count; i++)
		for (size_t k = 0; k < w->units[i]->rcpt_count; k++)
			if (report_is_due(&w->units[i]->envelope,
					  &w->units[i]->rcpts[k],
					  REPORT_DELAYED))
				return true;
	return false;
}

/* Takes it.  False: it has to wait. */
static bool warn_if_proven(struct drain *d, struct warning *w)
{
	const struct give_up_proof *p = d->proof;
	bool is_free = d->config->bounce.mode != BOUNCE_PROVEN;

	if (is_free || p == NULL || !is_anybody_warned(w)) {
		warn(d, w, is_free, false);
		warning_free(w);
		return true;
	}
	if (d->warning_count >= WARNINGS_MAX) {
		warning_free(w);
		return false;
	}
	w->drain = d;
	TAILQ_INSERT_TAIL(&d->warnings, w, link);
	d->warning_count++;
	w->question = p->ask(&w->units[0]->envelope, on_proof, w, p->arg);
	return true;
}

/* ---- The end ---- */

/* NULL: it must wait. */
static struct unit *take_end(struct drain *d, const struct spool_expiry *e)
{
	struct span name = span_str(e->domain);
	struct domain *dom = domain_need(d, name);
	struct unit *u = NULL;

	if (attempt_has(d, e->id, dom))
		return NULL; /* being tried, or bounced, right now */
	if (dom->dest != NULL && hold_of(dom->dest) != NULL)
		return NULL; /* what is held has no lifetime */
	if (spool_unit_load(d->spool, e->id, name, &u) != MX_OK)
		return NULL;
	if (u->state == UNIT_REFUSED || !unlisted_may_end(dom, u))
		unit_free(&u);
	return u;
}

/* The warnings of one message among these, from the first on, which is one;
 * how many were looked at. */
static size_t warn_all(struct drain *d, const struct spool_expiry *found,
		       size_t n, size_t *done)
{
	bool is_waiting = is_asked(d, found[0].id);
	struct warning *w = mx_alloc(sizeof(*w));
	size_t at = 0, count;

	while (at < n && found[at].is_warning && found[at].id == found[0].id) {
		const struct spool_expiry *e = &found[at++];
		struct unit *u = is_waiting ? NULL : take_end(d, e);

		if (u == NULL)
			continue;
		MX_ASSERT(w->count < BATCH);
		w->units[w->count++] = u;
		w->rcpt_count += u->rcpt_count;
	}
	count = w->count;
	if (count == 0)
		warning_free(w);
	else if (warn_if_proven(d, w))
		*done += count;
	return at;
}

/* How many of them ended. */
static size_t end_all(struct drain *d, const struct spool_expiry *found,
		      size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < n;) {
		struct unit *u;

		if (found[i].is_parked) {
			done += parked_take(d, &found[i++]);
			continue;
		}
		if (found[i].is_warning) {
			i += warn_all(d, found + i, n - i, &done);
			continue;
		}
		u = take_end(d, &found[i]);
		if (u != NULL) {
			give_up_expired(
				domain_need(d, span_str(found[i].domain)), &u);
			done++;
		}
		i++;
	}
	return done;
}

/*
 * Batch by batch to the last end that is due, then again from the first: what
 * cannot end now, since it is in flight or damaged, hides nothing behind it.
 */
static void on_ends(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = w->data;
	struct spool_expiry found[BATCH];
	bool is_first = d->ends_seen.id == 0;
	size_t n, done = 0;
	int64_t at = 0;
	enum mx_err err;

	(void)loop;
	(void)revents;
	if (!drain_is_at_work(d) || d->unsettled >= UNSETTLED_MAX / 2 ||
	    spool_is_busy(d->spool)) {
		due_arm(d, w, 200);
		return;
	}
	err = spool_expired(d->spool, clock_wall_ms(),
			    is_first ? NULL : &d->ends_seen, found, BATCH, &n);
	if (err != MX_OK)
		drain_is_unreadable(d, span_of(NULL, 0), err);
	done = end_all(d, found, n);
	MX_ASSERT(n <= BATCH && done <= n);
	d->ends_seen.id = 0;
	if (n == BATCH)
		d->ends_seen = found[n - 1];
	/* what was concluded is still listed a while */
	if (n == BATCH || done > 0)
		due_arm(d, w, 20);
	else if (n > 0 || !is_first)
		due_arm(d, w, SECONDS(1));
	else if (spool_next_expiry(d->spool, &at) == MX_OK)
		due_arm(d, w, at - clock_wall_ms());
	else
		due_arm(d, w, MINUTES(1));
}

/* Mail has come: its lifetime may end before the next look. */
void expire_look(struct drain *d)
{
	if (ev_timer_remaining(d->loop, &d->ends) > 1.)
		due_arm(d, &d->ends, SECONDS(1));
}

void expire_start(struct drain *d)
{
	TAILQ_INIT(&d->warnings);
	ev_timer_init(&d->ends, on_ends, 0., 0.);
	d->ends.data = d;
	due_arm(d, &d->ends, 0);
}

void expire_stop(struct drain *d)
{
	struct warning *w;

	while ((w = TAILQ_FIRST(&d->warnings)) != NULL) {
		answered(w);
		d->proof->cancel(w->question, d->proof->arg);
		warning_free(w);
	}
	ev_timer_stop(d->loop, &d->ends);
}

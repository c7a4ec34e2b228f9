/* The ready units of a domain, taken one by one. */
#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/cap.h"
#include "daemon/drain/conclude.h"
#include "daemon/drain/departure.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/unlisted.h"

static enum mx_err fetch_oldest(struct domain *dom)
{
	struct ready_ids *c = &dom->oldest;
	struct drain *d = dom->drain;
	int64_t now = clock_mono_ms();
	enum mx_err err;

	if (dom->is_rewound && now - dom->rewound_ms >= SECONDS(1)) {
		c->edge = 0;
		dom->is_rewound = false;
		dom->rewound_ms = now;
	}
	c->at = 0;
	err = spool_ready(d->spool, domain_name(dom), c->edge, c->page,
			  PAGE_IDS, &c->count);
	if (err == MX_OK && c->count == 0 && dom->is_rewound) {
		dom->is_rewound = false;
		dom->rewound_ms = now;
		err = spool_ready(d->spool, domain_name(dom), 0, c->page,
				  PAGE_IDS, &c->count);
	}
	return err;
}

static enum mx_err fetch_newest(struct domain *dom)
{
	struct ready_ids *c = &dom->newest;

	c->at = 0;
	return spool_ready_newest(dom->drain->spool, domain_name(dom), c->edge,
				  c->page, PAGE_IDS, &c->count);
}

static bool is_skipped(const struct domain *dom, uint64_t id)
{
	return attempt_has(dom->drain, id, dom) ||
	       aside_has(dom->drain, id, dom);
}

/* The next id that is neither in flight nor set aside, left in place; 0: none
 * is known. */
static uint64_t peek(struct domain *dom, bool newest)
{
	struct ready_ids *c = newest ? &dom->newest : &dom->oldest;
	enum mx_err err;

	if (c->page == NULL)
		c->page = mx_alloc_array(PAGE_IDS, sizeof(*c->page));
	for (;;) {
		while (c->at < c->count && is_skipped(dom, c->page[c->at]))
			c->at++;
		if (c->at < c->count)
			return c->page[c->at];
		err = newest ? fetch_newest(dom) : fetch_oldest(dom);
		if (err != MX_OK)
			drain_is_unreadable(dom->drain, domain_name(dom), err);
		MX_ASSERT(c->count <= PAGE_IDS);
		if (c->count == 0)
			return 0;
		c->edge = c->page[c->count - 1];
	}
}

/* No domain runs dry on a failed look. */
size_t domain_waiting(struct domain *dom, size_t most)
{
	struct ready_ids *c = &dom->oldest;
	size_t n = 0;

	if (peek(dom, false) == 0) {
		if (!dom->drain->is_blind)
			dom->has_mail = dom->is_recorded = false;
		return 0;
	}
	for (size_t i = c->at; i < c->count && n < most; i++)
		if (!is_skipped(dom, c->page[i]))
			n++;
	return n;
}

static void defer(struct attempt *a)
{
	cap_defer(a);
	conclude_with(a, OUTCOME_WAITING, span_of(NULL, 0));
}

static struct attempt *load(struct domain *dom, uint64_t id)
{
	struct unit *u = NULL;
	enum mx_err err =
		spool_unit_load(dom->drain->spool, id, domain_name(dom), &u);

	if (err == MX_ENOENT)
		return NULL; /* delivered or removed since it was listed */
	if (err == MX_ECORRUPT)
		log_error(EV_SPOOL, LOG_ID("mid", id),
			  LOG_STR("error", mx_strerror(err)));
	else if (err != MX_OK)
		drain_is_unreadable(dom->drain, domain_name(dom), err);
	if (err != MX_OK)
		return NULL;
	if (u->state != UNIT_READY || u->rcpt_count == 0 ||
	    !unlisted_takes(dom, u)) {
		unit_free(&u);
		return NULL;
	}
	if (!departure_allows(dom, u)) {
		departure_ask(attempt_new(dom, &u));
		return NULL;
	}
	if (u->envelope.is_dsn && !cap_allows(dom)) {
		defer(attempt_new(dom, &u));
		return NULL;
	}
	return attempt_new(dom, &u);
}

struct attempt *domain_take_unit(struct domain *dom, uint64_t id)
{
	if (dom->flow.stop != NULL || attempt_has(dom->drain, id, dom))
		return NULL;
	return load(dom, id);
}

struct attempt *domain_take(struct domain *dom, bool newest)
{
	struct attempt *a;
	uint64_t id;

	dom->is_barred = false;
	while (!cap_is_full(dom) && !departure_is_full(dom) &&
	       (id = peek(dom, newest)) != 0) {
		a = load(dom, id);
		if (dom->drain->is_blind)
			return NULL; /* it is where it was */
		if (dom->is_barred)
			break; /* nor anything behind it */
		if (newest)
			dom->newest.at++;
		else
			dom->oldest.at++;
		if (a != NULL)
			return a;
	}
	if (newest && !dom->drain->is_blind && !dom->is_barred)
		return domain_take(dom, false);
	domain_run_dry(dom);
	return NULL;
}

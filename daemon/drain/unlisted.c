/*
 * Mail of a domain that the allowlist lists no longer.  Whoever made the list
 * shorter may have meant it or not: the mail is neither returned nor sent on,
 * but held, and an alarm says so.
 *
 *            the line goes             the operator releases it
 *   listed ----------------> held -------------------------------> let go
 *     ^                        |                                     |
 *     +------------------------+---------- the line is back ---------+
 *
 * Where a domain stands is said by its row in the spool (spool_unlisted), so
 * that a restart changes nothing and a million messages cost what one does.
 * "Let go" is by the last options (router_remember).  In neither state does a
 * lifetime end.
 *
 * Our own reports go to strangers by design: a domain that has nothing else is
 * left alone.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "config/allow/domains.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/strangers.h"
#include "daemon/drain/unlisted.h"

/* Not asked for again sooner, if the row does not say so. */
enum { MARKING_MS = 10000, LINES_AN_HOUR = 100 };

static bool is_listed(const struct domain *dom)
{
	return domains_find(dom->drain->config->domains, domain_name(dom)) !=
	       NULL;
}

/* The row may not be that far yet, however long the disk takes: what was asked
 * of it last is what counts. */
static bool may_mark(struct domain *dom, enum mark mark)
{
	int64_t now = clock_mono_ms();

	if (dom->mark == mark && now - dom->marked_ms < MARKING_MS)
		return false;
	dom->mark = mark;
	dom->marked_ms = now;
	return true;
}

static void say_held(struct domain *dom, uint64_t units)
{
	struct drain *d = dom->drain;

	if (dom->is_left) /* said before */
		return;
	dom->is_left = true;
	if (++d->left_said == LINES_AN_HOUR + 1)
		log_error(EV_HELD,
			  LOG_STR("reason", "more domains are " SPOOL_UNLISTED),
			  LOG_STR("remedy", "mx20ctl status lists them"));
	if (d->left_said > LINES_AN_HOUR)
		return;
	log_error(EV_HELD, LOG_SPAN("domain", domain_name(dom)),
		  LOG_INT("units", units), LOG_STR("reason", SPOOL_UNLISTED),
		  LOG_STR("remedy", "list it again, or mx20ctl release, bounce "
				    "or remove --domain"));
}

static void hold(struct domain *dom, uint64_t units)
{
	say_held(dom, units);
	if (may_mark(dom, MARK_UNLISTED))
		spool_unlisted(dom->drain->spool, domain_name(dom), NULL, NULL);
}

/* No unit's lifetime ends before it had its chance. */
static int64_t until_ms(const struct domain *dom)
{
	const struct config_domain *row =
		domains_find(dom->drain->config->domains, domain_name(dom));
	int64_t least_ms =
		row->lifetime_ms < DAYS(1) ? row->lifetime_ms : DAYS(1);

	return clock_wall_ms() + least_ms;
}

static void welcome(struct domain *dom, const struct spool_domain *row)
{
	bool is_left = row->is_unlisted ||
		       (dom->mark == MARK_UNLISTED && row->units > 0);

	strangers_note(dom, false);
	dom->is_left = false;
	if (dom->remembered != dom->drain->generation) {
		router_remember(dom->drain->router, domain_name(dom));
		dom->remembered = dom->drain->generation;
	}
	if (!is_left || !may_mark(dom, MARK_LISTED))
		return;
	log_info(EV_RELEASED, LOG_SPAN("domain", domain_name(dom)),
		 LOG_INT("units", row->units),
		 LOG_STR("why", "it is in the allowlist again"));
	spool_listed(dom->drain->spool, domain_name(dom), until_ms(dom), NULL,
		     NULL);
}

static bool look_at(const struct unit *u, void *arg)
{
	*(bool *)arg = !u->envelope.is_dsn;
	return false;
}

/* The first unit says enough: see unlisted_takes. */
static bool has_mail_of_others(struct spool *sp, struct span name)
{
	struct unit *u = NULL;
	bool found = false;
	uint64_t id;
	size_t n;

	if (spool_ready(sp, name, 0, &id, 1, &n) == MX_OK && n > 0 &&
	    spool_unit_load(sp, id, name, &u) == MX_OK) {
		(void)look_at(u, &found);
		unit_free(&u);
	} else { /* none is ready: deferred ones */
		(void)spool_list(sp, name, 0, look_at, &found);
	}
	return found;
}

bool unlisted_has_reports_only(struct drain *d, struct span name)
{
	struct spool_domain row;

	return domains_find(d->config->domains, name) == NULL &&
	       spool_domain_get(d->spool, name, &row) == MX_OK &&
	       !row.is_unlisted && !has_mail_of_others(d->spool, name);
}

bool unlisted_may_go(struct domain *dom)
{
	struct drain *d = dom->drain;
	struct spool_domain row = { 0 };
	enum mx_err err = spool_domain_get(d->spool, domain_name(dom), &row);

	if (err != MX_OK && err != MX_ENOENT) {
		drain_is_unreadable(d, domain_name(dom), err);
		return is_listed(dom);
	}
	dom->is_barred = false;
	if (is_listed(dom)) {
		welcome(dom, &row);
		return true;
	}
	if (dom->mark == MARK_LISTED)
		row.is_unlisted = false;
	strangers_note(dom, !row.is_unlisted);
	if (row.is_unlisted && row.is_held)
		say_held(dom, row.units);
	if (row.is_unlisted && !row.is_held)
		dom->is_left = false; /* let go */
	if (row.is_unlisted)
		return !row.is_held;
	if (!has_mail_of_others(d->spool, domain_name(dom)))
		return true;
	hold(dom, row.units);
	return false;
}

bool unlisted_takes(struct domain *dom, const struct unit *u)
{
	if (!dom->is_stranger || u->envelope.is_dsn)
		return true;
	dom->is_barred = true;
	/* let go, it has its own way again, not that of our reports */
	dom->ask_ms = 0;
	router_forget(dom->drain->router, domain_name(dom));
	hold(dom, 1);
	return false;
}

bool unlisted_may_end(struct domain *dom, const struct unit *u)
{
	if (u->envelope.is_dsn || is_listed(dom))
		return true;
	(void)unlisted_may_go(dom); /* it has been too fast for us */
	return false;
}

void unlisted_remind(struct drain *d)
{
	int64_t now = clock_mono_ms();
	struct domain *dom, *tmp;
	unsigned n = 0;

	if (now - d->reminded_ms < HOURS(1))
		return;
	d->reminded_ms = now;
	d->left_said = 0;
	HASH_ITER (hh, d->domains, dom, tmp)
		n += dom->is_left;
	if (n > 0)
		log_error(EV_HELD, LOG_INT("domains", n),
			  LOG_STR("reason", SPOOL_UNLISTED),
			  LOG_STR("remedy", "mx20ctl status lists them"));
}

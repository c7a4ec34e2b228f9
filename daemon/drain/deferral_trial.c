/* The messages that a host which refused everybody is tried with. */
#include "common/base/clock.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/deferral_priv.h"
#include "daemon/drain/drain_priv.h"

static struct pilot *pilot_at(struct dest *dst, unsigned turn)
{
	return dst->pilot_count > 0 ? &dst->pilots[turn % dst->pilot_count]
				    : NULL;
}

/* Ready, or made so.  False: it is gone, held, or in flight. */
static bool pilot_call(struct drain *d, const struct pilot *p)
{
	struct spool_selection sel = { .id = p->id,
				       .domain = domain_name(p->domain) };
	struct unit *u = NULL;
	enum unit_state state = UNIT_HELD;

	if (spool_unit_load(d->spool, p->id, sel.domain, &u) == MX_OK)
		state = u->state;
	unit_free(&u);
	if (state == UNIT_DEFERRED)
		spool_flush(d->spool, sel, NULL, NULL);
	else if (state == UNIT_READY && !p->domain->has_mail)
		domain_announce(p->domain);
	return state != UNIT_HELD && state != UNIT_REFUSED;
}

void deferral_call(struct dest *dst)
{
	int64_t at = deferral_call_at(dst), now = clock_mono_ms();

	if (at == 0 || now < at || !drain_is_at_work(dst->drain))
		return;
	dst->called_ms = now;
	while (dst->pilot_count > 0) {
		size_t i = dst->turn / 3 % dst->pilot_count;

		if (pilot_call(dst->drain, &dst->pilots[i]))
			return;
		deferral_drop_pilot(dst, i);
	}
}

struct attempt *deferral_trial(struct dest *dst)
{
	unsigned turn = dst->turn++;
	bool is_pilots = turn % 3 == 0;
	struct pilot *p = pilot_at(dst, turn / 3);
	struct attempt *a = NULL;

	if (!drain_is_at_work(dst->drain) || hold_of(dst) != NULL ||
	    !flow_is_open(&dst->flow))
		return NULL;
	if (is_pilots && p != NULL)
		a = domain_take_unit(p->domain, p->id);
	if (a == NULL)
		a = dest_take(dst, turn % 3 == 1);
	if (a == NULL && p != NULL)
		a = domain_take_unit(p->domain, p->id);
	if (a != NULL)
		a->is_trial = true;
	return a;
}

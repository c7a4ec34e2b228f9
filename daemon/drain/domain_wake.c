/* A domain has mail, or has it again. */
#include "daemon/drain/drain_priv.h"

static void wake(struct domain *dom)
{
	switch (dom->standing) {
	case HAS_ROUTE:
		if (domain_is_old(dom)) {
			domain_ask(dom);
			break;
		}
		domain_enter_ring(dom);
		turns_touch(dom->dest);
		break;
	case HAS_DENIAL:
		if (domain_is_old(dom))
			domain_ask(dom);
		else
			drain_reap(dom->drain);
		break;
	case HAS_NO_ROUTE:
		if (domain_is_old(dom))
			domain_ask(dom);
		break;
	}
}

/* Which destination it waits for: the row of a domain goes with its mail, so
 * this is written again for each outage, and only then. */
void domain_record(struct domain *dom)
{
	if (!dom->has_mail || dom->is_recorded || dom->route == NULL)
		return;
	dom->is_recorded = true;
	spool_domain_destination(dom->drain->spool, domain_name(dom),
				 dom->route->key);
}

/*
 * New mail stands behind the cursor, but a unit that is due again or took
 * long to arrive stands before it: the page is finished first, then looked at
 * from the oldest again.
 */
void domain_announce(struct domain *dom)
{
	if (dom->has_mail)
		dom->is_rewound = true;
	else
		domain_start_over(dom);
	dom->newest.edge = 0;
	dom->newest.at = dom->newest.count = 0;
	dom->has_mail = true;
	if (dom->dest != NULL && dom->dest->logged == DRAIN_DOWN)
		domain_record(dom);
	wake(dom);
}

void domain_rewind(struct domain *dom)
{
	domain_start_over(dom);
	dom->has_mail = true;
	wake(dom);
}

/* What is known of a destination: of its targets, and whom it serves. */
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/callout.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/lane.h"

/* LONG_AGO_MS: of one that is neither up nor down, the wall's first instant.
 * What it offers may be known all the same. */
enum { STORE_MS = 300000, LONG_AGO_MS = 1 };

void dest_note_links(struct dest *dst)
{
	const struct link *l;

	for (size_t i = 0; i < dst->target_count; i++)
		dst->mtargets[i].links = 0;
	LIST_FOREACH (l, &dst->links, entry)
		if (l->kind != LINK_SINGLE && l->kind != LINK_CALLOUT &&
		    !l->is_leaving &&
		    l->target != MACHINE_NONE)
			dst->mtargets[l->target].links++;
}

void dest_count_links(const struct dest *dst, int target, unsigned *here,
		      unsigned *live)
{
	const struct link *l;

	*here = *live = 0;
	LIST_FOREACH (l, &dst->links, entry) {
		if (!link_works(l))
			continue;
		*live += 1;
		*here += l->target == target;
	}
}

void dest_forget(struct dest *dst)
{
	dest_note_links(dst);
	machine_forget(&dst->machine, config_stale_ms(dst->drain->config),
		       clock_mono_ms());
}

void dest_note_text(struct dest *dst, int target, struct span reply)
{
	snprintf(dst->last_reply, sizeof(dst->last_reply), "%.*s",
		 SPAN_ARG(reply));
	if (target != MACHINE_NONE)
		snprintf(dst->targets[target].last_reply,
			 sizeof(dst->targets[target].last_reply), "%s",
			 dst->last_reply);
}

void dest_note(struct dest *dst, int target, const struct smtp_reply *reply)
{
	struct buf line = { 0 };

	smtp_reply_print(&line, reply);
	dest_note_text(dst, target, buf_span(&line));
	buf_fini(&line);
}

void dest_store_target(struct dest *dst, int target)
{
	const struct target *t = &dst->targets[target];
	const struct machine_target *mt = &dst->mtargets[target];
	struct spool_target st = { .is_up = mt->is_up };
	int64_t good = mt->good_ms, now = clock_mono_ms();

	if (slots_is_strangers(dst)) /* reports can do without */
		return;
	dst->targets[target].stored_ms = now;
	st.since_ms = st.checked_ms = LONG_AGO_MS;
	if (mt->is_up || mt->is_down) {
		st.since_ms = clock_wall_ms() - (now - mt->since_ms);
		st.checked_ms = clock_wall_ms() - (now - mt->heard_ms);
	}
	st.latency_ms = (uint32_t)(good < UINT32_MAX ? good : UINT32_MAX);
	snprintf(st.name, sizeof(st.name), "%s", t->name);
	snprintf(st.last_reply, sizeof(st.last_reply), "%s", t->last_reply);
	snprintf(st.ehlo, sizeof(st.ehlo), "%s", t->ehlo);
	st.ehlo_ms = t->ehlo_ms;
	spool_target_put(dst->drain->spool, &st);
}

/* So that the next start knows how old its knowledge is. */
void dest_store_now_and_then(struct dest *dst, int target)
{
	if (clock_mono_ms() - dst->targets[target].stored_ms >= STORE_MS &&
	    (dst->mtargets[target].is_up || dst->mtargets[target].is_down))
		dest_store_target(dst, target);
}

/* At once what is new; else so that the next start knows that it still holds. */
void dest_note_ehlo(struct dest *dst, int target, const struct smtp_ehlo *ehlo)
{
	struct target *t = &dst->targets[target];
	struct buf text = { 0 };
	bool is_new;

	smtp_ehlo_print(&text, ehlo);
	is_new = t->ehlo_ms == 0 || !span_eq(span_str(t->ehlo), buf_span(&text));
	snprintf(t->ehlo, sizeof(t->ehlo), "%s", buf_cstr(&text));
	t->ehlo_ms = clock_wall_ms();
	buf_fini(&text);
	if (is_new || clock_mono_ms() - t->stored_ms >= STORE_MS)
		dest_store_target(dst, target);
}

/* ---- Which domains it serves ---- */

static struct machine_params params_of(const struct dest *dst)
{
	const struct config *c = dst->drain->config;

	return (struct machine_params){
		.probe_max_ms = c->drain.probe_max_ms,
		.probe_busy_ms = c->drain.probe_busy_ms,
		.connect_timeout_ms = c->drain.connect_timeout_ms,
		.connections = slots_each(dst),
	};
}

void dest_set_params(struct dest *dst)
{
	dst->machine.params = params_of(dst);
	if (dst->machine.limit > dst->machine.params.connections)
		dst->machine.limit = dst->machine.params.connections;
}

struct dest *dest_find(struct drain *d, const struct route *route)
{
	struct dest *dst;

	HASH_FIND(hh, d->dests, route->key.p, route->key.n, dst);
	return dst;
}

static void count(struct domain *dom, bool is_listed)
{
	if (dom->is_counted == is_listed)
		return;
	MX_ASSERT(is_listed || dom->dest->listed > 0);
	dom->is_counted = is_listed;
	dom->dest->listed += is_listed ? 1 : -1U;
	dest_set_params(dom->dest);
}

void dest_weigh(struct domain *dom)
{
	count(dom, !dom->is_stranger);
}

void dest_join(struct dest *dst, struct domain *dom)
{
	MX_ASSERT(dst->magic == DEST_MAGIC && dom->dest == NULL);
	dom->dest = dst;
	LIST_INSERT_HEAD(&dst->domains, dom, member);
	dest_weigh(dom);
}

void dest_quit(struct domain *dom)
{
	if (dom->dest == NULL)
		return;
	deferral_leave(dom);
	MX_ASSERT(dom->dest->magic == DEST_MAGIC);
	domain_leave_ring(dom);
	callout_leave(dom);
	lanes_leave(dom);
	LIST_REMOVE(dom, member);
	count(dom, false);
	dom->dest = NULL; /* the sweep frees what nobody belongs to */
}

/* Questions to primaries: a destination's connections for them. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/answers.h"
#include "daemon/drain/callout_priv.h"

static struct domain *next_asker(const struct dest *dst)
{
	struct domain *dom;

	TAILQ_FOREACH (dom, &dst->askers, asker)
		if (!TAILQ_EMPTY(&dom->waiting))
			return dom;
	return NULL;
}

/* Domains take turns. */
static struct callout *take(struct dest *dst)
{
	struct domain *dom = next_asker(dst);
	struct callout *c;

	if (dom == NULL || hold_of(dst) != NULL ||
	    !drain_is_at_work(dst->drain))
		return NULL;
	c = TAILQ_FIRST(&dom->waiting);
	TAILQ_REMOVE(&dom->waiting, c, link);
	callout_leave(dom);
	callout_enter(dom);
	return c;
}

void callout_fill(struct link *l)
{
	struct callout *c;

	MX_ASSERT(l->kind == LINK_CALLOUT);
	if (l->is_leaving)
		return;
	if (link_is_free(l) && (c = take(l->dest)) != NULL)
		callout_give(l, c);
	link_set_idle(l);
}

/* ---- Connections ---- */

void callout_ready(struct link *l)
{
	l->is_asking = true;
	link_heard_of(l);
	turns_touch(l->dest);
	callout_fill(l);
}

/* One that works becomes one of ours: mail makes itself another. */
static void adopt(struct link *l)
{
	link_uncount(l);
	l->kind = LINK_CALLOUT;
	l->is_ready = false;
	l->dest->callout_links++;
	callout_ready(l);
}

static bool is_idle(const struct link *l)
{
	return l->is_ready && l->kind != LINK_SINGLE && link_is_free(l);
}

static struct link *idle_link(struct dest *dst)
{
	struct link *l;

	if (!TAILQ_EMPTY(&dst->ring))
		return NULL;
	LIST_FOREACH (l, &dst->links, entry)
		if (is_idle(l))
			return l;
	return NULL;
}

static void find_link(struct dest *dst)
{
	int64_t now = clock_mono_ms();
	struct link *l;
	int target;

	if (dst->callout_links >= CALLOUT_LINKS)
		return;
	l = idle_link(dst);
	if (l != NULL) {
		adopt(l);
		return;
	}
	if (dst->live + dst->callout_links == 0 ||
	    now < dst->callout_pause_ms || !slots_have_room(dst))
		return;
	target = machine_any(&dst->machine, now);
	if (target != MACHINE_NONE && dst->mtargets[target].is_up)
		link_new(dst, target, LINK_CALLOUT);
}

void callout_ended(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;
	bool is_refusal = end->why == DELIVERY_BUSY ||
			  end->why == DELIVERY_REFUSED;

	if (end->why != DELIVERY_CLOSED && l->jobs_done == 0)
		dst->callout_pause_ms =
			clock_mono_ms() +
			(is_refusal ? dst->machine.params.probe_busy_ms
				    : CALLOUT_PAUSE_MS);
	log_debug(EV_CALLOUT, LOG_STR("host", l->host),
		  LOG_STR("stage", end->stage),
		  LOG_SPAN("reply", buf_span(&end->reply.text)));
}

/* ---- What a destination has to do ---- */

static int64_t patience_ends_ms(const struct dest *dst)
{
	const struct domain *dom = TAILQ_FIRST(&dst->askers);
	const struct callout *c = dom != NULL ? callout_first(dom) : NULL;

	return c != NULL ? c->since_ms + CALLOUT_PATIENCE_MS : 0;
}

/* Nobody is on the way to find out, or it takes too long. */
static bool is_out_of_reach(const struct dest *dst)
{
	int64_t now = clock_mono_ms();

	if (!dest_is_down(dst) || dst->live + dst->callout_links > 0)
		return false;
	return (dst->trying == 0 && !machine_is_due(&dst->machine, now)) ||
	       now >= patience_ends_ms(dst);
}

void callout_run(struct dest *dst)
{
	struct link *l, *next;

	if (TAILQ_EMPTY(&dst->askers))
		return;
	if (dest_answers(dst) == ANSWERS_YES)
		callout_answer_hails(dst);
	if (is_out_of_reach(dst)) {
		callout_answer_all(dst, span_str(dst->last_reply));
		return;
	}
	for (l = LIST_FIRST(&dst->links); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		if (l->kind == LINK_CALLOUT && l->is_asking)
			callout_fill(l);
	}
	if (!TAILQ_EMPTY(&dst->askers) && drain_is_at_work(dst->drain))
		find_link(dst);
}

bool callout_is_awaited(const struct dest *dst)
{
	return dst->machine.state != DRAIN_UP &&
	       clock_mono_ms() < dst->awaited_until_ms;
}

bool callout_wants(const struct dest *dst)
{
	if (dst->live + dst->trying + dst->callout_links > 0 ||
	    clock_mono_ms() < dst->callout_pause_ms)
		return false;
	return !TAILQ_EMPTY(&dst->askers) || callout_is_awaited(dst);
}

int64_t callout_timer(const struct dest *dst)
{
	if (TAILQ_EMPTY(&dst->askers))
		return 0;
	if (dest_is_down(dst))
		return patience_ends_ms(dst);
	return dst->callout_pause_ms > clock_mono_ms() ? dst->callout_pause_ms
						       : 0;
}

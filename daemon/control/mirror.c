/* The second copy: what `mx20ctl mirror` shows, and its orders. */
#include "daemon/control/control_priv.h"

#include "daemon/mirror/tell.h"

static const char no_mirror[] = "there is no second copy: mirror.postgresql was"
				" empty when mx20d was started";
static const char is_away[] =
	"the database is away: nothing can be handed over by it now; this node"
	" goes on";
static const char nobody_there[] =
	"no other node is alive: nobody would deliver this one's mail, nor take"
	" new mail; if that is meant: mx20ctl mirror leave --force";

void mirror_run(struct request *r)
{
	const struct control_options *opt = &r->control->opt;
	struct mirror_status s;
	json_t *o;

	if (!mirror_status(opt->mirror, &s)) {
		request_fail(r, no_mirror);
		return;
	}
	o = mirror_tell(&s, opt->config);
	json_object_set_new(o, "ok", json_true());
	json_object_set_new(o, "nodes", mirror_tell_nodes(&s));
	json_object_set_new(o, "nodes_at", control_time(s.nodes_ms));
	request_done(r, o);
}

/* mirror_done_cb */
static void on_done(enum mx_err err, uint64_t messages, struct span why,
		    void *arg)
{
	struct request *r = arg;

	if (err == MX_OK)
		request_done(r, json_pack("{s:b, s:I}", "ok", 1, "messages",
					  (json_int_t)messages));
	else
		request_done(r, json_pack("{s:b, s:o}", "ok", 0, "error",
					  control_text(why)));
}

static void log_order(const struct request *r, struct span node)
{
	log_info(EV_CONTROL, LOG_STR("by", "operator"), LOG_INT("uid", r->uid),
		 LOG_STR("claimed_uid", r->claimed_uid),
		 LOG_STR("verb", r->verb), LOG_SPAN("node", node));
}

void mirror_take_run(struct request *r, const json_t *object)
{
	struct span node = control_get_text(object, "node");
	struct mirror *m = r->control->opt.mirror;

	if (m == NULL) {
		request_fail(r, no_mirror);
		return;
	}
	log_order(r, node);
	mirror_take(m, node, on_done, r);
}

static bool has_others(const struct mirror_status *s)
{
	for (size_t i = 0; i < s->node_count; i++)
		if (!s->nodes[i].is_self && s->nodes[i].lease_ms > 0)
			return true;
	return false;
}

void mirror_leave_run(struct request *r)
{
	struct mirror *m = r->control->opt.mirror;
	struct mirror_status s;

	if (!mirror_status(m, &s)) {
		request_fail(r, no_mirror);
		return;
	}
	if (s.state == MIRROR_AWAY) {
		request_fail(r, is_away);
		return;
	}
	if (!has_others(&s) && !r->is_forced) {
		request_fail(r, nobody_there);
		return;
	}
	log_order(r, SPAN_LIT(""));
	mirror_leave(m, on_done, r);
}

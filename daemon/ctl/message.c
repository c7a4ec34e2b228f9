#include "daemon/ctl/message.h"

#include "common/control/control.h"
#include "daemon/ctl/print.h"

static const json_t *find_domain(const json_t *domains, struct span name)
{
	for (size_t i = 0; i < json_array_size(domains); i++) {
		const json_t *o = json_array_get(domains, i);

		if (span_eq(control_get_text(o, "domain"), name))
			return o;
	}
	return NULL;
}

/* What keeps a whole domain waiting: its destination. */
static void add_reason(struct buf *out, const json_t *domains,
		       struct span domain)
{
	const json_t *o = find_domain(domains, domain);

	if (span_eq(control_get_text(o, "hold"), SPAN_LIT("destination"))) {
		buf_adds(out, ", destination held: ");
		buf_add(out, control_get_text(o, "hold_reason"));
	} else if (control_get_bool(o, "down")) {
		buf_adds(out, ", destination down: ");
		buf_add(out, control_get_text(o, "last_reply"));
	}
}

/* It waits for the end of the brake's window, which may undo it; then for its
 * sender to be proven, or for the disk. */
static void add_unsettled(struct buf *out, int64_t left_ms)
{
	if (left_ms <= 0) {
		buf_adds(out, "refused, about to be settled");
		return;
	}
	buf_adds(out, "refused, final in ");
	print_age(out, left_ms);
	buf_adds(out, " unless braked");
}

static void add_state(struct buf *out, const json_t *r, int64_t now_ms)
{
	struct span state = control_get_text(r, "state");
	struct span reason = control_get_text(r, "hold_reason");
	int64_t due_ms = print_get_time(r, "due");

	if (span_eq(state, SPAN_LIT("held"))) {
		buf_adds(out, "held");
		if (reason.n > 0)
			buf_adds(out, ": ");
		buf_add(out, reason);
	} else if (span_eq(state, SPAN_LIT("refused"))) {
		buf_adds(out, "on the shelf, removed in ");
		print_age(out, due_ms - now_ms);
	} else if (span_eq(state, SPAN_LIT("deferred")) && due_ms > now_ms) {
		buf_adds(out, "deferred, retry in ");
		print_age(out, due_ms - now_ms);
	} else if (span_eq(state, SPAN_LIT("unsettled"))) {
		add_unsettled(out, due_ms - now_ms);
	} else if (span_eq(state, SPAN_LIT("delivered"))) {
		buf_adds(out, "delivered, to be reported");
	} else {
		buf_adds(out, "ready");
	}
}

void message_why(struct buf *out, const json_t *r, int64_t now_ms,
		 const json_t *domains)
{
	int64_t attempts = control_get_int(r, "attempts", 0);
	struct span reply = control_get_text(r, "last_reply");

	add_state(out, r, now_ms);
	if (attempts == 1)
		buf_adds(out, ", tried once");
	else if (attempts > 1)
		buf_addf(out, ", tried %lld times", (long long)attempts);
	if (reply.n > 0) {
		buf_adds(out, ": ");
		buf_add(out, reply);
	} else if (!span_eq(control_get_text(r, "state"), SPAN_LIT("held"))) {
		add_reason(out, domains, control_get_text(r, "domain"));
	}
}

/* The verbs: what mx20ctl can ask. */
#include "daemon/control/control_priv.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/assert.h"

enum { /* what a verb takes */
       TAKES_ID = 1,
       TAKES_DOMAIN = 2,
       TAKES_PATTERN = 4,
       TAKES_DESTINATION = 8,
       TAKES_UNITS = 15,
       TAKES_NOTHING = 16, /* all mail, or nothing at all */
       LOOKS = 32,	   /* changes nothing: who may look may ask it */
};

enum { REASON_MAX = 200 };

struct verb {
	const char *name;
	unsigned takes;
	void (*run)(struct request *r);
	/* Instead, with what else was said. */
	void (*run_with)(struct request *r, const json_t *object);
};

/* ---- One verb each ---- */

static void run_hello(struct request *r)
{
	const struct config *config = r->control->opt.config;

	request_done(r, json_pack("{s:b, s:s, s:I, s:o}", "ok", 1, "version",
				  MX_VERSION, "pid", (json_int_t)getpid(),
				  "hostname", control_text(config->hostname)));
}

/* clang-format off */
static const struct verb verbs[] = {
	{ "hello",    TAKES_NOTHING | LOOKS,                run_hello, NULL },
	{ "overview", TAKES_NOTHING | LOOKS,                look_overview, NULL },
	{ "domains",  TAKES_NOTHING | LOOKS,                look_domains, NULL },
	{ "domain",   TAKES_DOMAIN | TAKES_PATTERN | LOOKS, look_domain, NULL },
	{ "messages", TAKES_DOMAIN | TAKES_NOTHING | LOOKS, look_messages, NULL },
	{ "search",   TAKES_DOMAIN | TAKES_NOTHING | LOOKS, NULL, look_search },
	{ "message",  TAKES_ID | LOOKS,                     look_message, NULL },
	{ "content",  TAKES_ID | LOOKS,                     look_content, NULL },
	{ "outages",  TAKES_DOMAIN | TAKES_NOTHING | LOOKS, look_outages, NULL },
	{ "find",     TAKES_NOTHING | LOOKS,                NULL, look_find },
	{ "tally",    TAKES_NOTHING | LOOKS,                NULL, look_tally },
	{ "recipient", TAKES_NOTHING | LOOKS,               recipient_run, NULL },
	{ "route",    TAKES_DOMAIN | LOOKS,                 explain_run, NULL },
	{ "explain",  TAKES_NOTHING | LOOKS,                NULL, verdict_run },
	{ "flush",    TAKES_UNITS | TAKES_NOTHING,          flush_run, NULL },
	{ "hold",     TAKES_UNITS,                          hold_run, NULL },
	{ "release",  TAKES_UNITS,                          release_run, NULL },
	{ "remove",   TAKES_UNITS,                          remove_run, NULL },
	{ "bounce",   TAKES_UNITS,                          bounce_run, NULL },
	{ "reload",   TAKES_NOTHING,                        reload_run, NULL },
	{ "mirror",   TAKES_NOTHING | LOOKS,                mirror_run, NULL },
	{ "mirror_take", TAKES_NOTHING,                     NULL, mirror_take_run },
	{ "mirror_leave", TAKES_NOTHING,                    mirror_leave_run, NULL },
};
/* clang-format on */

/* ---- Which verb, about what ---- */

static const struct verb *verb_find(struct span name)
{
	for (size_t i = 0; i < COUNT(verbs); i++)
		if (span_eq(name, span_str(verbs[i].name)))
			return &verbs[i];
	return NULL;
}

static unsigned kind_of(enum scope scope)
{
	static const unsigned kinds[] = {
		[SCOPE_ALL] = TAKES_NOTHING,
		[SCOPE_ID] = TAKES_ID,
		[SCOPE_DOMAIN] = TAKES_DOMAIN,
		[SCOPE_PATTERN] = TAKES_PATTERN,
		[SCOPE_DESTINATION] = TAKES_DESTINATION,
	};

	return kinds[scope];
}

/* At most so much of it, and no half of a character. */
static void cut_text(struct buf *b, size_t most)
{
	if (b->n <= most)
		return;
	while (most > 0 && ((unsigned char)b->p[most] & 0xc0) == 0x80)
		most--;
	b->n = most;
}

static void take_words(struct request *r, const json_t *object)
{
	int64_t claimed = control_get_int(object, "claimed_uid", -1);
	int64_t offset = control_get_int(object, "offset", 0);

	if (claimed >= 0)
		snprintf(r->claimed_uid, sizeof(r->claimed_uid), "%lld",
			 (long long)claimed);
	buf_add(&r->after, control_get_text(object, "after"));
	r->offset = offset > 0 ? (uint64_t)offset : 0;
	r->all = control_get_bool(object, "all");
	r->is_forced = control_get_bool(object, "force");
	r->is_dry = control_get_bool(object, "dry_run");
	r->is_forget = control_get_bool(object, "forget");
	r->is_recheck = control_get_bool(object, "recheck");
	buf_add(&r->address, control_get_text(object, "address"));
	buf_add(&r->reason, control_get_text(object, "reason"));
	cut_text(&r->reason, REASON_MAX);
}

void verb_run(struct request *r, const json_t *object)
{
	const struct verb *v = verb_find(control_get_text(object, "verb"));
	const char *wrong;

	if (v == NULL) {
		request_fail(r, "no such verb");
		return;
	}
	if (r->right != RIGHT_ALL && !(v->takes & LOOKS)) {
		request_fail(r, CONTROL_LOOK_ONLY);
		return;
	}
	r->verb = v->name;
	take_words(r, object);
	wrong = select_take(r, object);
	if (wrong == NULL && !(v->takes & kind_of(r->scope)))
		wrong = "that is not what this verb is for: see mx20ctl(8)";
	if (wrong != NULL)
		request_fail(r, wrong);
	else if (v->run_with != NULL)
		v->run_with(r, object);
	else
		v->run(r);
}

/* What a request is about: messages, a domain, a pattern, a destination. */
#include "daemon/control/control_priv.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/msgid.h"
#include "common/spool/scope.h"
#include "config/allow/domains.h"

static bool message_exists(struct spool *sp, uint64_t id)
{
	struct buf none = { 0 };

	return spool_content(sp, id, 0, 0, &none) == MX_OK;
}

/* One of them: an English reason when it is none. */
static const char *take_id(struct request *r, struct span text)
{
	uint64_t id;

	if (!msg_id_parse(text, &id) || id == 0)
		return "not a queue id";
	if (!message_exists(r->control->opt.spool, id))
		return "no such message";
	MX_ASSERT(r->id_count < IDS_MAX);
	r->ids[r->id_count++] = id;
	return NULL;
}

static const char *take_one(struct request *r, struct span text)
{
	const char *wrong;

	r->ids = mx_alloc_array(1, sizeof(*r->ids));
	wrong = take_id(r, text);
	if (wrong == NULL)
		r->sel.id = r->ids[0];
	return wrong;
}

/* Each that is none is said; the others are dealt with. */
static const char *take_many(struct request *r, const json_t *list)
{
	size_t n = json_array_size(list);

	if (n == 0 || n > IDS_MAX)
		return "between 1 and 1000 ids, please";
	r->ids = mx_alloc_array(n, sizeof(*r->ids));
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		const char *wrong =
			take_id(r, span_str(text != NULL ? text : ""));

		if (wrong == NULL)
			continue;
		request_part(r, json_pack("{s:o, s:s}", "id",
					  control_text(span_str(
						  text != NULL ? text : "")),
					  "error", wrong));
	}
	return r->id_count > 0 ? NULL : "no such message";
}

static const char *take_domain(struct request *r, struct span domain)
{
	struct buf canon = { 0 };
	bool ok =
		scope_domain_canon(&canon, domain) && canon.n < sizeof(r->name);

	if (ok)
		memcpy(r->name, canon.p, canon.n);
	r->sel.domain = (struct span){ r->name, ok ? canon.n : 0 };
	r->scope = ok && scope_is_pattern(buf_span(&canon)) ? SCOPE_PATTERN
							    : SCOPE_DOMAIN;
	buf_fini(&canon);
	return ok ? NULL : "not a domain";
}

/* Names of hosts compare without case; the row has the lower one. */
static const char *take_destination(struct request *r, struct span name)
{
	if (name.n == 0 || name.n > SCOPE_DESTINATION_MAX ||
	    memchr(name.p, '\0', name.n) != NULL)
		return "not a destination";
	r->name[0] = '@';
	for (size_t i = 0; i < name.n; i++)
		r->name[i + 1] = ascii_lower(name.p[i]);
	r->destination = (struct span){ r->name + 1, name.n };
	r->scope = SCOPE_DESTINATION;
	return NULL;
}

const char *select_take(struct request *r, const json_t *object)
{
	struct span id = control_get_text(object, "id");
	struct span domain = control_get_text(object, "domain");
	struct span destination = control_get_text(object, "destination");
	const json_t *ids = json_object_get(object, "ids");

	if ((id.n > 0) + (domain.n > 0) + (destination.n > 0) + (ids != NULL) >
	    1)
		return "one thing at a time: ids, a domain or a destination";
	r->scope = id.n > 0 || ids != NULL ? SCOPE_ID : SCOPE_ALL;
	if (id.n > 0)
		return take_one(r, id);
	if (ids != NULL)
		return take_many(r, ids);
	if (domain.n > 0)
		return take_domain(r, domain);
	return destination.n > 0 ? take_destination(r, destination) : NULL;
}

/* ---- Is there such a thing? ---- */

enum { LOOKED_A_TURN = 1000 };

/*
 * The whole allowlist, all destinations and all mail may have to be looked at
 * before it is certain that there is none: some in each turn of the loop.
 */
struct search {
	struct request *r;
	void (*then)(struct request *r);
	ev_timer turn;
	/* where it is */
	enum { IN_LIST, IN_DESTINATIONS, IN_SPOOL, NOWHERE } at;
	struct config *config; /* whose list that is */
	size_t row;
	struct buf after;
	int left; /* of this turn */
	bool found;
};

static void look_in_list(struct search *s)
{
	const struct config_domain *row;

	while (s->left-- > 0) {
		row = domains_at(s->config->domains, s->row++);
		if (row == NULL) {
			s->at = IN_SPOOL;
			return;
		}
		s->found = scope_covers(s->r->sel.domain, row->name);
		if (s->found)
			return;
	}
}

static void look_in_destinations(struct search *s)
{
	bool is_over;

	s->left = 0;
	s->found =
		drain_knows_destination(s->r->control->opt.drain,
					s->r->destination, &s->after, &is_over);
	if (!is_over)
		return;
	s->at = IN_SPOOL;
	buf_reset(&s->after);
}

static bool note_mail(const struct spool_domain *row, void *arg)
{
	struct search *s = arg;
	const struct request *r = s->r;
	struct span name = span_str(row->name);

	s->found = r->scope == SCOPE_DESTINATION
			   ? drain_goes_to(r->control->opt.drain, row,
					   r->destination)
			   : scope_covers(r->sel.domain, name);
	buf_reset(&s->after);
	buf_add(&s->after, name);
	return !s->found && --s->left > 0;
}

static void look_in_spool(struct search *s)
{
	enum mx_err err = spool_domains(s->r->control->opt.spool,
					buf_span(&s->after), note_mail, s);

	if (err != MX_OK || s->left > 0)
		s->at = NOWHERE;
}

static void look(struct search *s)
{
	static void (*const looks[])(struct search *) = {
		[IN_LIST] = look_in_list,
		[IN_DESTINATIONS] = look_in_destinations,
		[IN_SPOOL] = look_in_spool,
	};

	s->left = LOOKED_A_TURN;
	while (s->left > 0 && !s->found && s->at != NOWHERE)
		looks[s->at](s);
}

static void search_end(struct search *s)
{
	MX_ASSERT(s->r->search == s);
	s->r->search = NULL;
	ev_timer_stop(s->r->control->opt.loop, &s->turn);
	config_unref(&s->config);
	buf_fini(&s->after);
	free(s);
}

static void search_some(struct search *s)
{
	struct request *r = s->r;
	void (*then)(struct request * r) = s->then;
	bool found;

	look(s);
	if (!s->found && s->at != NOWHERE) {
		ev_timer_set(&s->turn, 0., 0.);
		ev_timer_start(r->control->opt.loop, &s->turn);
		return;
	}
	found = s->found;
	search_end(s);
	if (found)
		then(r);
	else
		request_fail(r, r->scope == SCOPE_PATTERN
					? "no such domains: none is in the "
					  "allowlist, and no mail is here for "
					  "any"
					: "no such destination: see mx20ctl "
					  "status for those that are");
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	search_some(w->data);
}

static void search(struct request *r, void (*then)(struct request *r))
{
	struct search *s = mx_alloc(sizeof(*s));

	MX_ASSERT(r->search == NULL);
	s->r = r;
	s->then = then;
	s->config = config_ref(r->control->opt.config);
	s->at = r->scope == SCOPE_PATTERN ? IN_LIST : IN_DESTINATIONS;
	ev_timer_init(&s->turn, on_turn, 0., 0.);
	s->turn.data = s;
	r->search = s;
	search_some(s);
}

bool select_stop(struct request *r)
{
	if (r->search == NULL)
		return false;
	search_end(r->search);
	return true;
}

/* A domain of the allowlist, or with mail, or held. */
static bool is_known_domain(const struct request *r)
{
	const struct control_options *opt = &r->control->opt;
	struct spool_domain row;

	return domains_find(opt->config->domains, r->sel.domain) != NULL ||
	       spool_domain_get(opt->spool, r->sel.domain, &row) == MX_OK;
}

void select_check(struct request *r, void (*then)(struct request *r))
{
	bool is_domain = r->scope == SCOPE_DOMAIN || r->scope == SCOPE_PATTERN;

	if (r->scope == SCOPE_ALL || r->scope == SCOPE_ID ||
	    (is_domain && is_known_domain(r)))
		then(r);
	else if (r->scope == SCOPE_DOMAIN)
		request_fail(r, "no such domain: it is not in the allowlist, "
				"and no mail is here for it");
	else
		search(r, then);
}

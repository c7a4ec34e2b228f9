/* What a request is about: messages, a domain, a pattern, a destination. */
#include "daemon/control/control_priv.h"

#include <stdio.h>

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
		r->missing++;
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

struct search {
	const struct request *r;
	bool found;
};

static bool note_row(const struct config_domain *row, void *arg)
{
	struct search *s = arg;

	s->found = scope_covers(s->r->sel.domain, row->name);
	return !s->found;
}

static bool note_mail(const struct spool_domain *row, void *arg)
{
	struct search *s = arg;
	struct span name = span_str(row->name);

	if (s->r->scope == SCOPE_DESTINATION)
		s->found = drain_goes_to(s->r->control->opt.drain, row,
					 s->r->destination);
	else
		s->found = scope_covers(s->r->sel.domain, name);
	return !s->found;
}

/* A domain of the allowlist, or with mail, or held. */
static bool is_known_domain(const struct request *r)
{
	const struct control_options *opt = &r->control->opt;
	struct spool_domain row;

	return domains_find(opt->config->domains, r->sel.domain) != NULL ||
	       spool_domain_get(opt->spool, r->sel.domain, &row) == MX_OK;
}

const char *select_is_known(const struct request *r)
{
	const struct control_options *opt = &r->control->opt;
	struct search s = { .r = r };

	switch (r->scope) {
	case SCOPE_ALL:
	case SCOPE_ID:
		return NULL;
	case SCOPE_DOMAIN:
		return is_known_domain(r) ? NULL
					  : "no such domain: it is not in the "
					    "allowlist, and no mail is here "
					    "for it";
	case SCOPE_PATTERN:
		s.found = is_known_domain(r);
		if (!s.found)
			domains_each(opt->config->domains, note_row, &s);
		break;
	case SCOPE_DESTINATION:
		s.found = drain_knows_destination(opt->drain, r->destination);
		break;
	}
	if (!s.found)
		(void)spool_domains(opt->spool, SPAN_LIT(""), note_mail, &s);
	if (s.found)
		return NULL;
	return r->scope == SCOPE_PATTERN
		       ? "no such domains: none is in the allowlist, and no "
			 "mail is here for any"
		       : "no such destination: see mx20ctl status for those "
			 "that are";
}

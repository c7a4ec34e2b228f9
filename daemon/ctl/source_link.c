/* The daemon is asked. */
#include "daemon/ctl/source.h"

enum { ANSWER_MS = 10000 }; /* it answers at once, or does not live */

/* Behind a message come its recipients, a few a line. */
static void take_part(json_t *items, const json_t *part)
{
	json_t *item = json_object_get(part, "item");
	json_t *last = json_array_get(items, json_array_size(items) - 1);

	if (item != NULL)
		json_array_append(items, item);
	else if (last != NULL)
		json_array_extend(json_object_get(last, "recipients"),
				  json_object_get(part, "recipients"));
}

/* What the daemon's refusal means; its words are kept. */
static enum mx_err refusal(struct source *s, const json_t *end)
{
	struct span error = control_get_text(end, "error");

	buf_reset(&s->error);
	buf_add(&s->error, error);
	if (span_eq(error, SPAN_LIT("no such message")) ||
	    span_eq(error, SPAN_LIT("not a queue id")))
		return MX_ENOENT;
	return span_eq(error, SPAN_LIT("no such verb")) ? MX_EINVAL : MX_EIO;
}

/* Ask; the items before the end are added, the end is the caller's. */
static enum mx_err ask(struct source *s, json_t *request, json_t *items,
		       json_t **end)
{
	json_t *line;

	*end = NULL;
	if (!link_send(&s->link, request))
		return MX_ENET;
	while ((line = link_read(&s->link, ANSWER_MS)) != NULL) {
		if (json_object_get(line, "ok") != NULL)
			break;
		take_part(items, line);
		json_decref(line);
	}
	if (line == NULL)
		return MX_ENET;
	if (!control_get_bool(line, "ok")) {
		enum mx_err err = refusal(s, line);

		json_decref(line);
		return err;
	}
	*end = line;
	return MX_OK;
}

static enum mx_err ask_page(struct source *s, json_t *request,
			    struct status_page *p)
{
	json_t *items = json_array(), *end;
	enum mx_err err;

	if (p->next.n > 0)
		json_object_set_new(request, "after",
				    control_text(buf_span(&p->next)));
	err = ask(s, request, items, &end);
	if (err == MX_ENET || err == MX_EINVAL) { /* the page is asked of
						     another */
		json_decref(items);
		return err;
	}
	status_page_fini(p);
	p->items = items;
	buf_add(&p->next, control_get_text(end, "next"));
	json_decref(end);
	return err;
}

/* One object: the first item, or the end itself. */
static enum mx_err ask_one(struct source *s, json_t *request, json_t **out)
{
	json_t *items = json_array(), *end;
	enum mx_err err = ask(s, request, items, &end);

	*out = json_incref(json_array_get(items, 0));
	json_decref(items);
	json_decref(end);
	if (err == MX_OK && *out == NULL)
		err = MX_EIO;
	if (err != MX_OK) {
		json_decref(*out);
		*out = NULL;
	}
	return err;
}

static enum mx_err overview(struct source *s, json_t **out)
{
	json_t *items = json_array();
	enum mx_err err =
		ask(s, json_pack("{s:s}", "verb", "overview"), items, out);

	json_decref(items);
	if (err == MX_OK)
		json_object_del(*out, "ok");
	return err;
}

static enum mx_err domains(struct source *s, struct status_page *p)
{
	return ask_page(s, json_pack("{s:s}", "verb", "domains"), p);
}

static enum mx_err domain(struct source *s, struct span name, json_t **out)
{
	return ask_one(s,
		       json_pack("{s:s, s:o}", "verb", "domain", "domain",
				 control_text(name)),
		       out);
}

/* extra: more of the request; NULL: nothing. */
static enum mx_err ask_rows(struct source *s, const char *verb,
			    json_t *extra, struct span domain_name,
			    struct status_page *p)
{
	json_t *request = json_pack("{s:s}", "verb", verb);

	if (domain_name.n > 0)
		json_object_set_new(request, "domain",
				    control_text(domain_name));
	if (extra != NULL)
		json_object_update(request, extra);
	return ask_page(s, request, p);
}

static enum mx_err messages(struct source *s, struct span domain_name,
			    struct status_page *p)
{
	return ask_rows(s, "messages", NULL, domain_name, p);
}

static enum mx_err search(struct source *s, struct span domain_name,
			  struct status_page *p)
{
	return ask_rows(s, "search", s->wanted, domain_name, p);
}

static enum mx_err outages(struct source *s, struct span domain_name,
			   struct status_page *p)
{
	return ask_rows(s, "outages", NULL, domain_name, p);
}

static enum mx_err find(struct source *s, struct span word,
			struct status_page *p)
{
	return ask_page(s,
			json_pack("{s:s, s:o}", "verb", "find", "word",
				  control_text(word)),
			p);
}

static enum mx_err tally(struct source *s, int64_t since_ms,
			 struct status_page *p)
{
	return ask_page(s,
			json_pack("{s:s, s:I}", "verb", "tally", "since_ms",
				  (json_int_t)since_ms),
			p);
}

static json_t *about_message(const char *verb, struct span id)
{
	return json_pack("{s:s, s:o}", "verb", verb, "id", control_text(id));
}

static enum mx_err message(struct source *s, struct span id, json_t **out)
{
	return ask_one(s, about_message("message", id), out);
}

static enum mx_err content(struct source *s, struct span id, uint64_t offset,
			   struct buf *out)
{
	json_t *request = about_message("content", id);
	json_t *items = json_array(), *end;
	enum mx_err err;

	json_object_set_new(request, "offset",
			    json_integer((json_int_t)offset));
	err = ask(s, request, items, &end);
	if (err == MX_OK && !control_get_bytes(end, "content", out))
		err = MX_EIO;
	json_decref(items);
	json_decref(end);
	return err;
}

const struct source_ops source_link_ops = {
	overview, domains, domain, messages, search, message, outages, find, tally,
	content,
};

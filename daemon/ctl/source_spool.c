/* The spool itself is looked at. */
#include "common/base/msgid.h"
#include "common/status/outage.h"
#include "common/status/tally.h"
#include "common/status/trace.h"
#include "daemon/ctl/source.h"

enum { PIECE = 64 * 1024 };

static enum mx_err overview(struct source *s, json_t **out)
{
	struct spool_totals totals;
	enum mx_err err = spool_totals(s->spool, &totals);

	*out = NULL;
	if (err == MX_OK)
		*out = json_pack("{s:o, s:s, s:b, s:o}", "hostname",
				 control_text(s->ctl->config->hostname),
				 "version", MX_VERSION, "running", 0, "spool",
				 status_spool(&totals));
	if (err == MX_OK && s->link.hangs)
		json_object_set_new(*out, "hangs", json_true());
	return err;
}

static enum mx_err domains(struct source *s, struct status_page *p)
{
	struct status_page next;
	enum mx_err err = status_domains(s->spool, buf_span(&p->next),
					 status_remembered, &s->memory, &next);

	status_page_fini(p);
	*p = next;
	return err;
}

static enum mx_err domain(struct source *s, struct span name, json_t **out)
{
	return status_domain_get(s->spool, name, status_remembered, &s->memory,
				 out);
}

static uint64_t after_of(const struct status_page *p)
{
	uint64_t after = 0;

	(void)msg_id_parse(buf_span(&p->next), &after); /* empty: from the
							    first on */
	return after;
}

static enum mx_err messages(struct source *s, struct span domain_name,
			    struct status_page *p)
{
	struct status_page next;
	enum mx_err err = status_messages(s->spool, domain_name, after_of(p),
					  SIZE_MAX, &next);

	status_page_fini(p);
	*p = next;
	return err;
}

static enum mx_err search(struct source *s, struct span domain_name,
			  struct status_page *p)
{
	struct status_page next = { 0 };
	struct status_filter filter;
	const char *wrong = status_filter_take(&filter, s->wanted);
	enum mx_err err = MX_EINVAL;

	buf_reset(&s->error);
	if (wrong != NULL)
		buf_adds(&s->error, wrong);
	else
		err = status_search(s->spool, domain_name, after_of(p),
				    SIZE_MAX, &filter, &next);
	status_filter_fini(&filter);
	status_page_fini(p);
	*p = next;
	return err;
}

static enum mx_err message(struct source *s, struct span id, json_t **out)
{
	uint64_t number;

	*out = NULL;
	return msg_id_parse(id, &number)
		       ? status_message(s->spool, number, SIZE_MAX, out)
		       : MX_ENOENT;
}

static enum mx_err outages(struct source *s, struct span domain_name,
			   struct status_page *p)
{
	struct status_page next;
	enum mx_err err = status_outages(s->spool, domain_name,
					 buf_span(&p->next), &next);

	status_page_fini(p);
	*p = next;
	return err;
}

static enum mx_err find(struct source *s, struct span word,
			struct status_page *p)
{
	struct status_page next = { 0 };
	struct trace_filter filter;
	enum mx_err err = MX_EINVAL;

	if (trace_filter_take(&filter, word))
		err = status_traces(s->spool, &filter, buf_span(&p->next), NULL,
				    &next);
	trace_filter_fini(&filter);
	status_page_fini(p);
	*p = next;
	return err;
}

static enum mx_err tally(struct source *s, int64_t since_ms,
			 struct status_page *p)
{
	struct status_page next;
	enum mx_err err = status_tally(s->spool, since_ms, buf_span(&p->next),
				       &next);

	status_page_fini(p);
	*p = next;
	return err;
}

static enum mx_err content(struct source *s, struct span id, uint64_t offset,
			   struct buf *out)
{
	uint64_t number;

	return msg_id_parse(id, &number)
		       ? spool_content(s->spool, number, offset, PIECE, out)
		       : MX_ENOENT;
}

const struct source_ops source_spool_ops = {
	overview, domains, domain, messages, search, message, outages, find, tally,
	content,
};

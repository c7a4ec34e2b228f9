#include "daemon/web/api.h"

#include <stdlib.h>

#include "common/control/control.h"
#include "common/status/outage.h"

enum { OUTAGES_MOST = 1000 };

static void add_json(struct buf *out, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);

	buf_adds(out, text != NULL ? text : "null");
	free(text);
}

/* ---- Status ---- */

/* status_state_fn */
static void fill_state(const struct spool_domain *row,
		       struct status_destination *out, void *arg)
{
	const struct api_status *s = arg;
	const struct status_destination *d =
		s->state(span_str(row->name), s->arg);

	if (d != NULL)
		*out = *d;
}

struct listing {
	struct buf *out;
	size_t domains, most;
	json_t *holds;
};

static void add_item(struct listing *l, json_t *item)
{
	if (json_object_get(item, "domain") == NULL) {
		json_array_append(l->holds, item);
		return;
	}
	if (l->domains == l->most)
		return;
	if (l->domains++ > 0)
		buf_addc(l->out, ',');
	add_json(l->out, item);
}

static void add_domains(struct listing *l, const struct api_status *s)
{
	struct status_page page = { 0 };
	struct buf after = { 0 };
	enum mx_err err;

	do {
		err = status_domains(s->view, buf_span(&after), fill_state,
				     &(struct api_status){ .state = s->state,
							   .arg = s->arg },
				     &page);
		for (size_t i = 0; i < json_array_size(page.items); i++)
			add_item(l, json_array_get(page.items, i));
		buf_reset(&after);
		buf_add(&after, buf_span(&page.next));
		status_page_fini(&page);
	} while (err == MX_OK && after.n > 0 && l->domains < l->most);
	buf_fini(&after);
}

/* Its closing brace is left out: it goes on. */
static void add_overview(struct buf *out, const struct api_status *s)
{
	json_t *o = s->overview != NULL
			    ? json_deep_copy(s->overview)
			    : json_pack("{s:o, s:s, s:b}", "hostname",
					control_text(s->hostname), "version",
					MX_VERSION, "running", 0);

	json_object_del(o, "ok");
	add_json(out, o);
	json_decref(o);
	out->n--;
}

void api_status(struct buf *out, const struct api_status *s)
{
	struct listing l = { out, 0, s->most, json_array() };

	add_overview(out, s);
	buf_adds(out, ",\"domains\":[");
	add_domains(&l, s);
	buf_adds(out, "],\"destinations_held\":");
	add_json(out, l.holds);
	if (s->rows > l.domains && l.domains == l.most)
		buf_addf(out, ",\"domains_left_out\":%llu",
			 (unsigned long long)(s->rows - l.domains));
	buf_adds(out, "}\n");
	json_decref(l.holds);
}

/* ---- Outages ---- */

void api_outages(struct buf *out, struct spool *view)
{
	struct status_page page = { 0 };
	struct buf after = { 0 };
	enum mx_err err;
	size_t n = 0;

	buf_addc(out, '[');
	do {
		err = status_outages(view, SPAN_LIT(""), buf_span(&after),
				     &page);
		for (size_t i = 0; i < json_array_size(page.items); i++) {
			buf_adds(out, n++ > 0 ? ",\n" : "\n");
			add_json(out, json_array_get(page.items, i));
		}
		buf_reset(&after);
		buf_add(&after, buf_span(&page.next));
		status_page_fini(&page);
	} while (err == MX_OK && after.n > 0 && n < OUTAGES_MOST);
	buf_adds(out, "\n]\n");
	buf_fini(&after);
}

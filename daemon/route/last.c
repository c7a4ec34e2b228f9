#include "daemon/route/last.h"

#include "common/base/assert.h"
#include "config/value/value.h"

void last_key(struct buf *key, struct span domain)
{
	buf_adds(key, "last:");
	buf_add(key, domain);
}

void last_print(struct buf *out, const struct config *c,
		const struct config_domain *row)
{
	if (row->tls != TLS_LEVEL_DEFAULT && row->tls != c->tls.outbound)
		buf_addf(out, "tls=%s", value_tls_name(row->tls));
	if (row->primary_count == 0)
		return;
	if (out->n > 0)
		buf_addc(out, ' ');
	buf_adds(out, "primary=");
	buf_add(out, row->primary_text);
}

static void apply_tls(struct lookup_options *opt, struct span text,
		      struct arena *a)
{
	(void)a;
	(void)value_tls(text, &opt->tls); /* of another version: the default */
}

static void apply_primary(struct lookup_options *opt, struct span text,
			  struct arena *a)
{
	struct config_hop *hops =
		arena_alloc_array(a, text.n + 1, sizeof(*hops));
	struct span rest = text;
	size_t n = 0;

	while (rest.n > 0) {
		struct buf name = { 0 };

		if (value_hop(span_cut(&rest, ','), &name, &hops[n])) {
			hops[n].addr.port = hops[n].port;
			hops[n].host = arena_span(a, buf_span(&name));
			n++;
		}
		buf_fini(&name);
	}
	if (n == 0)
		return;
	opt->source = ROUTE_FROM_PRIMARY;
	opt->hops = hops;
	opt->hop_count = n;
	opt->hops_text = arena_span(a, text);
}

void last_apply(struct lookup_options *opt, struct span text, struct arena *a)
{
	static const struct {
		const char *key;
		void (*apply)(struct lookup_options *, struct span,
			      struct arena *);
	} words[] = {
		{ "tls=", apply_tls },
		{ "primary=", apply_primary },
	};

	while (text.n > 0) {
		struct span word = span_cut(&text, ' ');

		for (size_t i = 0; i < COUNT(words); i++) {
			struct span key = span_str(words[i].key);

			if (span_starts(word, key))
				words[i].apply(opt, span_skip(word, key.n), a);
		}
	}
}

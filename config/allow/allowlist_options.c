/* The options of a line, in a table. */
#include <stddef.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "config/allow/allowlist_priv.h"
#include "config/value/kind.h"
#include "config/value/value.h"

/* The port of those that name none, and the text that equal routes share. */
static void complete_hops(struct reader *r, struct row *row, struct span text)
{
	struct config_hop *hops = row->pub.primary;

	(void)text;
	buf_reset(&r->text);
	for (size_t i = 0; i < row->pub.primary_count; i++) {
		if (hops[i].port == 0)
			hops[i].port = r->defaults->port;
		hops[i].addr.port = hops[i].port;
		buf_adds(&r->text, i > 0 ? "," : "");
		value_hop_add(&r->text, &hops[i]);
	}
	row->pub.primary_text = pool_span(&r->d->pool, buf_span(&r->text));
}

#define AT(f) offsetof(struct row, pub.f), 0
#define LIST(f, n) offsetof(struct row, pub.f), offsetof(struct row, pub.n)

/* clang-format off */
static const struct row_option {
	struct option o;
	uint8_t own; /* OWN_ bit */
	/* what it means beyond its field */
	void (*then)(struct reader *r, struct row *row, struct span word);
} row_options[] = {
	/* name, kind, flags, field, least, most */
	[OPT_RECIPIENTS] =
	{ { "recipients", K_RECIPIENTS, 0 }, OWN_RECIPIENTS, sources_take },
	[OPT_PRIMARY] =
	{ { "primary", K_HOPS, 0, LIST(primary, primary_count) }, 0,
	  complete_hops },
	[OPT_LIFETIME] =
	{ { "lifetime", K_TIME, HAS_RANGE,
	    AT(lifetime_ms), SECONDS(1), DAYS(365) }, 0, NULL },
	{ { "unknown", K_UNKNOWN, 0, AT(unknown) }, OWN_UNKNOWN, NULL },
	{ { "standby", K_STANDBY, 0, AT(standby) }, OWN_STANDBY, NULL },
	{ { "tls", K_TLS, 0, AT(tls) }, 0, NULL },
	{ { "quota", K_SIZE, HAS_RANGE, AT(quota_bytes), 0,
	    INT64_C(16) << 40 }, OWN_QUOTA, NULL },
	{ { "etrn", K_NETWORKS, 0, LIST(etrn, etrn_count) }, 0, NULL },
	{ { "delimiter", K_SIGN, 0, AT(delimiter) }, 0, NULL },
};
/* clang-format on */
_Static_assert(COUNT(row_options) <= 32, "a bit of seen for each");

static void *pool_array(void *arg, size_t count, size_t size)
{
	return pool_alloc_array(arg, count, size);
}

static void take_word(struct reader *r, struct row *row,
		      const struct row_option *opt, struct span word)
{
	const struct keeper k = { pool_array, &r->d->pool };
	const struct option *o = &opt->o;
	struct buf why = { 0 };

	if (kind_lacks_unit(o, word, &why)) {
		FAIL(r, "%s: %s", o->path, buf_cstr(&why));
	} else if (!kind_take_word(o, word, &k, row)) {
		kind_accepts(&why, o, kinds[o->kind].word);
		FAIL(r, "%s: expected %s, not \"%.*s\"", o->path,
		     buf_cstr(&why), SPAN_ARG(word));
	} else if (opt->then != NULL) {
		opt->then(r, row, word);
	}
	buf_fini(&why);
}

static void refuse_option(struct reader *r, struct span key)
{
	struct buf names = { 0 };

	if (span_find(key, '.') < key.n) {
		FAIL(r, "%.*s: one domain a line, and then its options",
		     SPAN_ARG(key));
		return;
	}
	for (size_t i = 0; i < COUNT(row_options); i++)
		buf_addf(&names, " %s=", row_options[i].o.path);
	FAIL(r, "%.*s: unknown option; there are:%s", SPAN_ARG(key),
	     buf_cstr(&names));
	buf_fini(&names);
}

void row_option_take(struct reader *r, struct row *row, struct span word,
		     unsigned *seen)
{
	struct span value = word, key = span_cut(&value, '=');
	size_t i = 0;

	while (i < COUNT(row_options) &&
	       !span_eq(key, span_str(row_options[i].o.path)))
		i++;
	if (i == COUNT(row_options)) {
		refuse_option(r, key);
		return;
	}
	if (*seen & 1u << i)
		FAIL(r, "%s: given twice", row_options[i].o.path);
	else
		take_word(r, row, &row_options[i], value);
	*seen |= 1u << i;
	row->pub.own |= row_options[i].own;
}

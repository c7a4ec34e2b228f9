#include "common/spf/record.h"

#include <ctype.h>

#include "common/base/assert.h"
#include "common/spf/macro.h"

/* ---- Which terms there are ---- */

enum argument {
	ARG_NONE,
	ARG_DOMAIN,      /* ":" domain-spec */
	ARG_MAY_DOMAIN,  /* the same, or nothing */
	ARG_MAY_NETWORK, /* [":" domain-spec] [ "/" bits ] [ "//" bits ] */
	ARG_IP4, ARG_IP6 /* ":" network */
};

static const struct kind {
	const char *name;
	enum spf_mechanism mechanism;
	enum argument argument;
} kinds[] = {
	{ "all",     SPF_ALL,     ARG_NONE },
	{ "include", SPF_INCLUDE, ARG_DOMAIN },
	{ "a",       SPF_HAS_A,   ARG_MAY_NETWORK },
	{ "mx",      SPF_HAS_MX,  ARG_MAY_NETWORK },
	{ "ptr",     SPF_HAS_PTR, ARG_MAY_DOMAIN },
	{ "ip4",     SPF_IP4,     ARG_IP4 },
	{ "ip6",     SPF_IP6,     ARG_IP6 },
	{ "exists",  SPF_EXISTS,  ARG_DOMAIN },
};

static const struct {
	char sign;
	enum spf_result result;
} qualifiers[] = {
	{ '+', SPF_PASS }, { '-', SPF_FAIL },
	{ '~', SPF_SOFTFAIL }, { '?', SPF_NEUTRAL },
};

bool spf_is_record(struct span text)
{
	const struct span version = SPAN_LIT("v=spf1");

	return span_istarts(text, version) &&
	       (text.n == version.n || text.p[version.n] == ' ');
}

/* ---- Arguments ---- */

/* Cut "/24" (or "//64", for slashes 2) off the end.  False: there is such an
 * end, and no network has it. */
static bool cut_bits(struct span *s, size_t slashes, unsigned most,
		     unsigned *bits)
{
	size_t at = s->n;
	struct span digits;
	uint64_t v;

	while (at > 0 && isdigit((unsigned char)s->p[at - 1]))
		at--;
	digits = span_skip(*s, at);
	if (digits.n == 0 || at < slashes || s->p[at - 1] != '/' ||
	    s->p[at - slashes] != '/')
		return true;
	if ((digits.n > 1 && digits.p[0] == '0') || !span_u64(digits, &v) ||
	    v > most)
		return false;
	*bits = (unsigned)v;
	s->n = at - slashes;
	return true;
}

/* ":spec"; what there is none of is empty. */
static bool read_spec(struct span arg, bool must, struct span *spec)
{
	if (arg.n == 0)
		return !must;
	*spec = span_skip(arg, 1);
	return arg.p[0] == ':' && spf_domain_spec_ok(*spec);
}

static bool read_network(struct span arg, struct spf_term *t)
{
	t->bits4 = 32;
	t->bits6 = 128;
	return cut_bits(&arg, 2, 128, &t->bits6) &&
	       cut_bits(&arg, 1, 32, &t->bits4) &&
	       read_spec(arg, false, &t->spec);
}

static bool read_ip(struct span arg, sa_family_t family, struct spf_term *t)
{
	unsigned most = family == AF_INET ? 32 : 128;
	struct net_addr *a = &t->net.addr;
	bool has_colons;

	t->net.bits = most;
	if (arg.n < 2 || arg.p[0] != ':' ||
	    !cut_bits(&arg, 1, most, &t->net.bits))
		return false;
	arg = span_skip(arg, 1);
	has_colons = span_find(arg, ':') < arg.n;
	if (has_colons != (family == AF_INET6) ||
	    net_addr_parse(arg, a) != MX_OK)
		return false;
	if (a->family != family)
		a->family = AF_UNSPEC; /* IPv4-mapped: no client has one */
	return true;
}

static bool read_argument(enum argument kind, struct span arg,
			  struct spf_term *t)
{
	switch (kind) {
	case ARG_NONE: return arg.n == 0;
	case ARG_DOMAIN: return read_spec(arg, true, &t->spec);
	case ARG_MAY_DOMAIN: return read_spec(arg, false, &t->spec);
	case ARG_MAY_NETWORK: return read_network(arg, t);
	case ARG_IP4: return read_ip(arg, AF_INET, t);
	case ARG_IP6: return read_ip(arg, AF_INET6, t);
	}
	return false;
}

/* ---- Terms ---- */

static size_t name_length(struct span s)
{
	size_t n = 0;

	while (n < s.n && (isalnum((unsigned char)s.p[n]) || s.p[n] == '-' ||
			   s.p[n] == '_' || s.p[n] == '.'))
		n++;
	return n;
}

static bool read_directive(struct span s, struct spf_term *t)
{
	size_t n = 0;

	t->text = s;
	t->result = SPF_PASS;
	for (size_t i = 0; i < COUNT(qualifiers); i++)
		if (s.p[0] == qualifiers[i].sign) {
			t->result = qualifiers[i].result;
			s = span_skip(s, 1);
			break;
		}
	while (n < s.n && s.p[n] != ':' && s.p[n] != '/')
		n++;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (!span_ieq(span_of(s.p, n), span_str(kinds[i].name)))
			continue;
		t->mechanism = kinds[i].mechanism;
		return read_argument(kinds[i].argument, span_skip(s, n), t);
	}
	return false;
}

/* Those of a name that nobody knows are passed over (section 6). */
static bool read_modifier(struct span name, struct span value,
			  struct spf_terms *out)
{
	struct span *field = NULL;

	if (span_ieq(name, SPAN_LIT("redirect")))
		field = &out->redirect;
	else if (span_ieq(name, SPAN_LIT("exp")))
		field = &out->explain;
	if (field == NULL)
		return isalpha((unsigned char)name.p[0]) &&
		       spf_macro_ok(value, true);
	if (field->n > 0 || !spf_domain_spec_ok(value))
		return false;
	*field = value;
	return true;
}

static bool read_term(struct span s, struct spf_terms *out)
{
	size_t n = name_length(s);

	if (n > 0 && n < s.n && s.p[n] == '=')
		return read_modifier(span_of(s.p, n), span_skip(s, n + 1), out);
	return read_directive(s, &out->terms[out->count++]);
}

static size_t count_terms(struct span text)
{
	size_t n = 0;

	for (size_t i = 1; i < text.n; i++)
		n += text.p[i - 1] == ' ' && text.p[i] != ' ';
	return n;
}

bool spf_read(struct arena *a, struct span text, struct spf_terms *out,
	      struct span *bad)
{
	size_t most = count_terms(text);
	bool has_all = false;

	*out = (struct spf_terms){ 0 };
	*bad = text;
	if (most > SPF_TERMS_MOST)
		return false;
	out->terms = arena_alloc_array(a, most, sizeof(*out->terms));
	span_cut(&text, ' '); /* the version */
	while (text.n > 0) {
		struct span s = span_cut(&text, ' ');

		if (s.n == 0)
			continue;
		*bad = s;
		if (!read_term(s, out))
			return false;
	}
	for (size_t i = 0; i < out->count; i++)
		has_all |= out->terms[i].mechanism == SPF_ALL;
	if (has_all)
		out->redirect.n = 0; /* section 6.1: ignored */
	return true;
}

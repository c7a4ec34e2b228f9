#include "common/spf/macro.h"

#include <ctype.h>
#include <inttypes.h>

#include "common/base/assert.h"

#define DELIMITERS ".-+,/_="

/* "%{" letter *DIGIT ["r"] *delimiter "}" */
struct macro {
	char letter; /* lower case; '%', '_' or '-': that escape */
	bool is_escaped; /* upper case: for a URL */
	bool is_reversed;
	unsigned keep; /* parts on the right; 0: all */
	struct span delimiters; /* empty: "." */
};

static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* The number of parts.  More than a name can have are all. */
static bool read_digits(struct span *s, unsigned *keep)
{
	bool any = false;

	*keep = 0;
	for (; s->n > 0 && isdigit((unsigned char)*s->p);
	     *s = span_skip(*s, 1)) {
		any = true;
		if (*keep < 1000)
			*keep = *keep * 10 + (unsigned)(*s->p - '0');
	}
	return !any || *keep > 0;
}

static bool read_braces(struct span in, struct macro *m)
{
	if (in.n == 0 || !is_one_of(ascii_lower(*in.p), "slodiphcrtv"))
		return false;
	m->letter = ascii_lower(*in.p);
	m->is_escaped = m->letter != *in.p;
	in = span_skip(in, 1);
	if (!read_digits(&in, &m->keep))
		return false;
	if (in.n > 0 && ascii_lower(*in.p) == 'r') {
		m->is_reversed = true;
		in = span_skip(in, 1);
	}
	m->delimiters = in;
	for (size_t i = 0; i < in.n; i++)
		if (!is_one_of(in.p[i], DELIMITERS))
			return false;
	return true;
}

/* s begins with '%'.  Its length, 0: not a macro. */
static size_t read_macro(struct span s, struct macro *m)
{
	size_t end;

	*m = (struct macro){ 0 };
	if (s.n < 2)
		return 0;
	if (is_one_of(s.p[1], "%_-")) {
		m->letter = s.p[1];
		return 2;
	}
	end = span_find(s, '}');
	if (s.p[1] != '{' || end == s.n ||
	    !read_braces(span_of(s.p + 2, end - 2), m))
		return 0;
	return end + 1;
}

/* What stands behind the last macro; NULL: bad, or a character that may not be
 * there. */
static const char *after_macros(struct span s, bool is_explanation)
{
	const char *after = s.p, *end = s.p + s.n;
	struct macro m;

	for (const char *p = s.p; p < end;) {
		size_t n = 1;

		if (*p == '%') {
			n = read_macro(span_of(p, (size_t)(end - p)), &m);
			if (n == 0 || (!is_explanation &&
				       is_one_of(m.letter, "crt")))
				return NULL;
			after = p + n;
		} else if (*p < (is_explanation ? ' ' : '!') || *p > '~') {
			return NULL;
		}
		p += n;
	}
	return after;
}

bool spf_macro_ok(struct span s, bool is_explanation)
{
	return s.n == 0 || after_macros(s, is_explanation) != NULL;
}

/* Letters, digits and hyphens; a hyphen at neither end; not all digits. */
static bool is_toplabel(struct span s)
{
	bool has_other = false;

	if (s.n == 0 || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '-')
			return false;
		has_other |= !isdigit((unsigned char)s.p[i]);
	}
	return has_other;
}

bool spf_domain_spec_ok(struct span s)
{
	const char *tail = s.n > 0 ? after_macros(s, false) : NULL;
	const char *end = s.p + s.n, *dot;

	if (tail == NULL)
		return false;
	if (tail == end && end[-1] != '.')
		return true; /* a macro is the last */
	if (end[-1] == '.')
		end--;
	for (dot = end; dot > tail && dot[-1] != '.'; dot--)
		;
	return dot > tail && is_toplabel(span_of(dot, (size_t)(end - dot)));
}

bool spf_macro_wants_name(struct span s)
{
	for (size_t i = 0; i + 2 < s.n; i++) {
		if (s.p[i] != '%')
			continue;
		if (s.p[i + 1] == '{' && ascii_lower(s.p[i + 2]) == 'p')
			return true;
		i++; /* "%%{p" is text */
	}
	return false;
}

/* ---- Values ---- */

/* RFC 7208 section 7.3: an IPv6 address as nibbles with dots between. */
static void add_dotted(struct buf *out, const struct net_addr *a)
{
	if (a->family == AF_INET) {
		net_addr_add(out, a);
		return;
	}
	for (size_t i = 0; i < sizeof(a->ip); i++)
		buf_addf(out, "%s%x.%x", i > 0 ? "." : "", a->ip[i] >> 4,
			 a->ip[i] & 15);
}

static void add_value(struct buf *out, char letter, const struct spf_macros *m)
{
	const struct spf_request *r = m->request;

	switch (letter) {
	case 's': buf_add(out, m->sender); break;
	case 'l': buf_add(out, m->local); break;
	case 'o': buf_add(out, m->sender_domain); break;
	case 'd': buf_add(out, m->domain); break;
	case 'i': add_dotted(out, &r->client); break;
	case 'p': buf_add(out, m->name); break;
	case 'h': buf_add(out, r->helo); break;
	case 'c': net_addr_add(out, &r->client); break;
	case 'r':
		buf_add(out, r->receiver.n > 0 ? r->receiver
					       : SPAN_LIT("unknown"));
		break;
	case 't': buf_addf(out, "%" PRId64, r->now_s); break;
	case 'v':
		buf_adds(out, r->client.family == AF_INET ? "in-addr" : "ip6");
		break;
	default: MX_ASSERT(!"a letter that read_braces took");
	}
}

/* ---- Transformers ---- */

static bool is_delimiter(const struct macro *m, char c)
{
	return m->delimiters.n == 0
		       ? c == '.'
		       : memchr(m->delimiters.p, c, m->delimiters.n) != NULL;
}

/* The part that ends before end; what is left of the value before it. */
static struct span last_part(const struct macro *m, struct span value,
			     size_t end, size_t *begin)
{
	*begin = end;
	while (*begin > 0 && !is_delimiter(m, value.p[*begin - 1]))
		--*begin;
	return span_of(value.p + *begin, end - *begin);
}

static void add_reversed(struct buf *out, const struct macro *m,
			 struct span value)
{
	unsigned parts = 1, skip;
	size_t end = value.n, begin;

	for (size_t i = 0; i < value.n; i++)
		parts += is_delimiter(m, value.p[i]);
	/* kept are those on the right, which were on the left */
	skip = m->keep > 0 && parts > m->keep ? parts - m->keep : 0;
	for (unsigned i = 0; i < parts; i++, end = begin - 1) {
		struct span part = last_part(m, value, end, &begin);

		if (i < skip)
			continue;
		if (i > skip)
			buf_addc(out, '.');
		buf_add(out, part);
		if (begin == 0)
			return;
	}
}

static void add_in_order(struct buf *out, const struct macro *m,
			 struct span value)
{
	size_t from = value.n, begin = 0;

	for (unsigned i = 0; m->keep == 0 || i < m->keep; i++) {
		last_part(m, value, from, &begin);
		if (begin == 0)
			break;
		from = begin - 1;
	}
	for (size_t i = begin; i < value.n; i++)
		buf_addc(out, is_delimiter(m, value.p[i]) ? '.' : value.p[i]);
}

/* RFC 3986 section 2.3 */
static void add_escaped(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (isalnum(c) || is_one_of((char)c, "-._~"))
			buf_addc(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
}

static void add_macro(struct buf *out, const struct macro *m,
		      const struct spf_macros *env)
{
	struct buf value = { 0 }, changed = { 0 };

	switch (m->letter) {
	case '%': buf_addc(out, '%'); return;
	case '_': buf_addc(out, ' '); return;
	case '-': buf_adds(out, "%20"); return;
	default: break;
	}
	add_value(&value, m->letter, env);
	if (value.n == 0)
		return;
	if (m->is_reversed)
		add_reversed(&changed, m, buf_span(&value));
	else
		add_in_order(&changed, m, buf_span(&value));
	if (m->is_escaped)
		add_escaped(out, buf_span(&changed));
	else
		buf_add(out, buf_span(&changed));
	buf_fini(&value);
	buf_fini(&changed);
}

bool spf_expand(struct buf *out, struct span s, const struct spf_macros *m)
{
	struct macro one;

	while (s.n > 0 && out->n <= SPF_EXPANDED_MOST) {
		size_t plain = span_find(s, '%'), n;

		buf_add(out, span_of(s.p, plain));
		s = span_skip(s, plain);
		if (s.n == 0)
			break;
		n = read_macro(s, &one);
		MX_ASSERT(n > 0);
		add_macro(out, &one, m);
		s = span_skip(s, n);
	}
	return out->n <= SPF_EXPANDED_MOST;
}

/*
 * Path, Mailbox, Local-part: RFC 5321 section 4.1.2 with the additions of RFC
 * 6531 section 3.3.  Each take_ function steps over one production at the
 * front of *in, and leaves *in anywhere when it answers false.
 */
#include "common/smtp/address.h"

#include "common/base/utf8.h"

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') ||
	       (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

static bool is_atext(char c)
{
	return is_alnum(c) ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool take_byte(struct span *in, char c)
{
	if (in->n == 0 || in->p[0] != c)
		return false;
	*in = span_skip(*in, 1);
	return true;
}

/* UTF8-non-ascii, RFC 6531 section 3.3 */
static bool take_non_ascii(struct span *in, bool utf8)
{
	size_t n = utf8 ? utf8_char(*in) : 0;

	if (n < 2)
		return false;
	*in = span_skip(*in, n);
	return true;
}

/* Atom = 1*atext */
static bool take_atom(struct span *in, bool utf8)
{
	size_t before = in->n;

	for (;;) {
		if (in->n > 0 && is_atext(in->p[0]))
			*in = span_skip(*in, 1);
		else if (!take_non_ascii(in, utf8))
			return in->n < before;
	}
}

/* Dot-string = Atom *("." Atom) */
static bool take_dot_string(struct span *in, bool utf8)
{
	do {
		if (!take_atom(in, utf8))
			return false;
	} while (take_byte(in, '.'));
	return true;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static bool take_quoted(struct span *in, bool utf8)
{
	if (!take_byte(in, '"'))
		return false;
	while (!take_byte(in, '"')) {
		bool pair = take_byte(in, '\\');

		if (in->n > 0 && in->p[0] >= 32 && in->p[0] <= 126)
			*in = span_skip(*in, 1);
		else if (pair || !take_non_ascii(in, utf8))
			return false;
	}
	return true;
}

static bool take_local(struct span *in, bool utf8)
{
	if (in->n > 0 && in->p[0] == '"')
		return take_quoted(in, utf8);
	return take_dot_string(in, utf8);
}

/*
 * sub-domain = Let-dig [Ldh-str], or a U-label.  An underscore counts as a
 * letter: the grammar has none, but hosts that write mail do, and a backup
 * should not refuse what the primary takes.
 */
static bool take_label(struct span *in, bool utf8)
{
	const char *start = in->p;

	for (;;) {
		if (in->n > 0 &&
		    (is_alnum(in->p[0]) || in->p[0] == '-' || in->p[0] == '_'))
			*in = span_skip(*in, 1);
		else if (!take_non_ascii(in, utf8))
			break;
	}
	return in->p > start && start[0] != '-' && in->p[-1] != '-';
}

/* Is it a name the DNS can hold, too? */
static bool name_converts(struct span name)
{
	struct buf canon = { 0 };
	bool ok = smtp_domain_canon(&canon, name) == MX_OK;

	buf_fini(&canon);
	return ok;
}

static bool take_domain(struct span *in, bool utf8)
{
	struct span name = *in;

	do {
		const char *label = in->p;

		if (!take_label(in, utf8))
			return false;
		if (in->p - label > 63 &&
		    !span_has_8bit(span_of(label, (size_t)(in->p - label))))
			return false;
	} while (take_byte(in, '.'));
	name.n = (size_t)(in->p - name.p);
	return name.n <= SMTP_DOMAIN_MAX &&
	       (!span_has_8bit(name) || name_converts(name));
}

static bool take_literal(struct span *in)
{
	size_t close = span_find(*in, ']');

	if (close == in->n ||
	    !smtp_is_literal((struct span){ in->p, close + 1 }))
		return false;
	*in = span_skip(*in, close + 1);
	return true;
}

/* A-d-l ":": read and forgotten, RFC 5321 appendix C */
static bool take_route(struct span *in, bool utf8)
{
	do {
		if (!take_byte(in, '@') || !take_domain(in, utf8))
			return false;
	} while (take_byte(in, ','));
	return take_byte(in, ':');
}

static bool take_mailbox(struct span *in, bool utf8, struct smtp_path *out)
{
	const char *start = in->p;

	if (!take_local(in, utf8))
		return false;
	out->local = span_of(start, (size_t)(in->p - start));
	if (!take_byte(in, '@'))
		return false;
	const char *domain = in->p;

	out->is_literal = in->n > 0 && in->p[0] == '[';
	if (!(out->is_literal ? take_literal(in) : take_domain(in, utf8)))
		return false;
	out->domain = span_of(domain, (size_t)(in->p - domain));
	out->mailbox = span_of(start, (size_t)(in->p - start));
	return true;
}

/* "<postmaster>": the one local part that needs no domain */
static bool take_postmaster(struct span *in, struct smtp_path *out)
{
	static const struct span name = { "postmaster", 10 };

	if (in->n <= name.n || !span_istarts(*in, name) || in->p[name.n] != '>')
		return false;
	out->mailbox = out->local = span_of(in->p, name.n);
	*in = span_skip(*in, name.n);
	return true;
}

static bool take_path(struct span *in, bool utf8, struct smtp_path *out)
{
	if (!take_byte(in, '<'))
		return false;
	if (take_byte(in, '>'))
		return true;
	if (in->n > 0 && in->p[0] == '@' && !take_route(in, utf8))
		return false;
	return (take_postmaster(in, out) || take_mailbox(in, utf8, out)) &&
	       take_byte(in, '>');
}

enum mx_err smtp_path_parse(struct span *in, bool utf8, struct smtp_path *out)
{
	struct span rest = *in, path;

	*out = (struct smtp_path){ 0 };
	if (!take_path(&rest, utf8, out))
		return MX_EINVAL;
	path = (struct span){ in->p, in->n - rest.n };
	if (path.n > SMTP_PATH_MAX)
		return MX_EINVAL;
	out->is_utf8 = span_has_8bit(path);
	*in = rest;
	return MX_OK;
}

enum mx_err smtp_mailbox_parse(struct span in, bool utf8, struct smtp_path *out)
{
	*out = (struct smtp_path){ 0 };
	if (in.n > SMTP_PATH_MAX - 2 || !take_mailbox(&in, utf8, out) ||
	    in.n > 0)
		return MX_EINVAL;
	out->is_utf8 = span_has_8bit(out->mailbox);
	return MX_OK;
}

bool smtp_is_local(struct span s, bool utf8)
{
	return s.n <= SMTP_PATH_MAX - 4 && take_local(&s, utf8) && s.n == 0;
}

void smtp_local_canon(struct buf *out, struct span local)
{
	bool quoted = local.n >= 2 && local.p[0] == '"';

	if (quoted)
		local = (struct span){ local.p + 1, local.n - 2 };
	char *at = buf_reserve(out, local.n);

	for (size_t i = 0; i < local.n; i++) {
		if (quoted && local.p[i] == '\\' && i + 1 < local.n)
			i++;
		*at++ = ascii_lower(local.p[i]);
		out->n++;
	}
}

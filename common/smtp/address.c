/*
 * Path, Mailbox, Local-part: RFC 5321 section 4.1.2 with the additions of RFC
 * 6531 section 3.3.  Each take_ function steps over one production at the
 * front of *in, and leaves *in anywhere when it answers false.
 *
 * Where real senders are odd, more is taken than the grammar has.  Each time
 * there is one way to read it, nothing of it reaches the next server in a
 * form that could be read in another, and what is not that is refused as
 * before:
 *
 *  a..b@  .a@  a.@    a dot is no delimiter in a path: the local part ends at
 *                     the @, whatever stands before it, and only the
 *                     primary may interpret it (RFC 5321 section 2.3.11).
 *                     It goes on as it came
 *  b.example.         the same name, fully qualified (RFC 1034 section 3.1);
 *                     the dot goes no further
 *  < a@b >            no path begins or ends with a blank; they go no further
 *  a@b                without angle brackets, but only one plain mailbox or
 *                     postmaster, up to a blank or the end of the line; no
 *                     source route, no empty path, no display name, and no
 *                     bracket that has no partner
 */
#include "common/smtp/address.h"

#include <stdlib.h>
#include <uninorm.h>

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

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct span *in)
{
	while (in->n > 0 && is_blank(in->p[0]))
		*in = span_skip(*in, 1);
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

/* Dot-string = Atom *("." Atom), and dots anywhere beside an atom */
static bool take_dot_string(struct span *in, bool utf8)
{
	bool has_atom = false;

	for (;;) {
		if (take_atom(in, utf8))
			has_atom = true;
		else if (!take_byte(in, '.'))
			return has_atom;
	}
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

/* Does a label begin here, right or wrong?  If not, the dot before it was the
 * last of the name. */
static bool is_label_ahead(struct span in)
{
	unsigned char c = in.n > 0 ? (unsigned char)in.p[0] : 0;

	return is_alnum((char)c) || c == '-' || c == '_' || c > 127;
}

/* A dot at the end is stepped over and not part of *name. */
static bool take_domain(struct span *in, bool utf8, struct span *name)
{
	const char *start = in->p;

	do {
		const char *label = in->p;

		if (!take_label(in, utf8))
			return false;
		if (in->p - label > 63 &&
		    !span_has_8bit(span_of(label, (size_t)(in->p - label))))
			return false;
		*name = span_of(start, (size_t)(in->p - start));
	} while (take_byte(in, '.') && is_label_ahead(*in));
	return name->n <= SMTP_DOMAIN_MAX &&
	       (!span_has_8bit(*name) || name_converts(*name));
}

static bool take_literal(struct span *in, struct span *literal)
{
	size_t close = span_find(*in, ']');

	*literal = (struct span){ in->p, close < in->n ? close + 1 : in->n };
	if (!smtp_is_literal(*literal))
		return false;
	*in = span_skip(*in, literal->n);
	return true;
}

/* A-d-l ":": read and forgotten, RFC 5321 appendix C */
static bool take_route(struct span *in, bool utf8)
{
	struct span host;

	do {
		if (!take_byte(in, '@') || !take_domain(in, utf8, &host))
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
	out->is_literal = in->n > 0 && in->p[0] == '[';
	if (!(out->is_literal ? take_literal(in, &out->domain)
			      : take_domain(in, utf8, &out->domain)))
		return false;
	out->mailbox = span_of(start, out->local.n + 1 + out->domain.n);
	return true;
}

/* "<postmaster>": the one local part that needs no domain */
static bool take_postmaster(struct span *in, struct smtp_path *out)
{
	static const struct span name = { "postmaster", 10 };

	if (!span_istarts(*in, name) ||
	    (in->n > name.n && in->p[name.n] != '>' &&
	     !is_blank(in->p[name.n])))
		return false;
	out->mailbox = out->local = span_of(in->p, name.n);
	*in = span_skip(*in, name.n);
	return true;
}

static bool take_path(struct span *in, bool utf8, struct smtp_path *out)
{
	if (!take_byte(in, '<'))
		return false;
	skip_blanks(in);
	if (take_byte(in, '>'))
		return true;
	if (in->n > 0 && in->p[0] == '@' && !take_route(in, utf8))
		return false;
	if (!take_postmaster(in, out) && !take_mailbox(in, utf8, out))
		return false;
	skip_blanks(in);
	return take_byte(in, '>');
}

/* A path without its brackets. */
static bool take_bare(struct span *in, bool utf8, struct smtp_path *out)
{
	return (take_postmaster(in, out) || take_mailbox(in, utf8, out)) &&
	       (in->n == 0 || is_blank(in->p[0]));
}

enum mx_err smtp_path_parse(struct span *in, bool utf8, struct smtp_path *out)
{
	struct span rest = *in, path;

	*out = (struct smtp_path){ 0 };
	if (in->n > 0 && in->p[0] == '<'
		    ? !take_path(&rest, utf8, out)
		    : !take_bare(&rest, utf8, out))
		return MX_EINVAL;
	path = (struct span){ in->p, in->n - rest.n };
	if (path.n > SMTP_PATH_MAX || out->mailbox.n > SMTP_PATH_MAX - 2)
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

struct span smtp_local_of(struct span mailbox)
{
	size_t at = mailbox.n;

	while (at > 0 && mailbox.p[at - 1] != '@')
		at--;
	return span_of(mailbox.p, at > 0 ? at - 1 : mailbox.n);
}

void smtp_mailbox_add_ascii(struct buf *out, struct span mailbox)
{
	struct span local = smtp_local_of(mailbox);
	size_t start = out->n;

	if (local.n < mailbox.n) {
		buf_add(out, local);
		buf_addc(out, '@');
		if (smtp_domain_canon(out, span_skip(mailbox, local.n + 1)) ==
		    MX_OK)
			return;
		out->n = start;
	}
	buf_add(out, mailbox);
}

/* What was appended from there on, into NFC. */
static void normalise(struct buf *out, size_t from)
{
	size_t n;
	uint8_t *nfc = u8_normalize(UNINORM_NFC, (uint8_t *)out->p + from,
				    out->n - from, NULL, &n);

	if (nfc == NULL)
		return;
	out->n = from;
	buf_add(out, span_of(nfc, n));
	free(nfc);
}

void smtp_local_canon(struct buf *out, struct span local)
{
	bool quoted = local.n >= 2 && local.p[0] == '"';
	bool is_8bit = span_has_8bit(local);
	size_t from = out->n;

	if (quoted)
		local = (struct span){ local.p + 1, local.n - 2 };
	char *at = buf_reserve(out, local.n);

	for (size_t i = 0; i < local.n; i++) {
		if (quoted && local.p[i] == '\\' && i + 1 < local.n)
			i++;
		*at++ = is_8bit ? local.p[i] : ascii_lower(local.p[i]);
		out->n++;
	}
	if (!is_8bit)
		return;
	if (utf8_valid(local)) /* first: an accent belongs to a letter of either
				  case */
		normalise(out, from);
	for (size_t i = from; i < out->n; i++)
		out->p[i] = ascii_lower(out->p[i]);
}

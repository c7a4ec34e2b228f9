/* MAIL, RCPT and BDAT; the parameters are those of extension.c. */
#include "common/smtp/command.h"

#include "common/base/utf8.h"
#include "common/smtp/extension.h"

/* A parameter as it stands on the line; value.p is NULL without "=". */
struct parameter {
	struct span keyword, value;
	bool is_wrong; /* no esmtp-value */
};

static bool is_keyword_byte(char c)
{
	return (c >= '0' && c <= '9') || c == '-' ||
	       (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-") */
static bool is_keyword(struct span s)
{
	if (s.n == 0 || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_keyword_byte(s.p[i]))
			return false;
	return true;
}

/* esmtp-value = 1*(%d33-60 / %d62-126), and UTF-8 with RFC 6531 */
static bool is_value(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 33 || c == '=' || c == 127)
			return false;
	}
	return s.n > 0 && utf8_valid(s);
}

static bool parameter_cut(struct span word, struct parameter *out)
{
	size_t equals = span_find(word, '=');

	*out = (struct parameter){ .keyword = { word.p, equals } };
	if (!is_keyword(out->keyword))
		return false;
	/* two parameters, or one with a tab in it?  Nobody can say */
	if (span_find(word, '\t') < word.n)
		return false;
	if (equals == word.n)
		return true;
	out->value = span_skip(word, equals + 1);
	out->is_wrong = !is_value(out->value);
	return true;
}

struct context {
	enum smtp_verb verb;
	unsigned offered;
	unsigned seen; /* one bit a parameter */
	bool utf8;
};

/* The one it names; *bit: its own.  NULL: none that is offered. */
static const struct smtp_parameter *parameter_find(const struct context *ctx,
						   struct span keyword,
						   unsigned *bit)
{
	const struct smtp_parameter *p;

	for (size_t i = 0; i < SMTP_EXTENSIONS; i++) {
		if ((ctx->offered & smtp_extensions[i].bit) == 0)
			continue;
		for (size_t k = 0; k < SMTP_PARAMETERS; k++) {
			p = &smtp_extensions[i].parameters[ctx->verb][k];
			*bit = 1U << (i * SMTP_PARAMETERS + k);
			if (p->keyword != NULL &&
			    span_ieq(keyword, span_str(p->keyword)))
				return p;
		}
	}
	return NULL;
}

/*
 * ENVID and ORCPT only say how a report is to name the message and whom it
 * was for.  Senders write what is not quite xtext; the mail is not refused for
 * it, but neither is it passed on nor guessed at: where the word ends is
 * certain, and all of it is dropped.  Given twice, they are still an error.
 */
static enum smtp_syntax read_parameter(struct context *ctx, struct span word,
				       void *out)
{
	enum smtp_syntax syntax = SMTP_SYNTAX_PARAMETER;
	const struct smtp_parameter *known;
	struct parameter p;
	unsigned bit;

	if (!parameter_cut(word, &p))
		return SMTP_SYNTAX_PARAMETER;
	known = parameter_find(ctx, p.keyword, &bit);
	if (known == NULL)
		return p.is_wrong ? SMTP_SYNTAX_PARAMETER : SMTP_SYNTAX_UNKNOWN;
	if (ctx->seen & bit)
		return SMTP_SYNTAX_PARAMETER;
	ctx->seen |= bit;
	if (!p.is_wrong)
		syntax = known->read(p.value, ctx->utf8, out);
	return syntax == SMTP_SYNTAX_PARAMETER && known->is_hint
		       ? SMTP_SYNTAX_OK
		       : syntax;
}

/* *(SP Mail-parameter); blanks at the end are harmless (section 4.1.1). */
static enum smtp_syntax read_parameters(struct context *ctx, struct span rest,
					void *out)
{
	if (rest.n > 0 && rest.p[0] != ' ' && rest.p[0] != '\t')
		return SMTP_SYNTAX_BAD;
	rest = span_trim(rest);
	while (rest.n > 0) {
		struct span word = span_cut(&rest, ' ');
		enum smtp_syntax syntax = SMTP_SYNTAX_OK;

		if (word.n > 0)
			syntax = read_parameter(ctx, word, out);
		if (syntax != SMTP_SYNTAX_OK)
			return syntax;
	}
	return SMTP_SYNTAX_OK;
}

/* Step over "FROM:" or "TO:" and the path. */
static enum smtp_syntax take_path(struct span *line, struct span keyword,
				  struct smtp_path *out)
{
	*line = span_trim(*line);
	if (!span_istarts(*line, keyword))
		return SMTP_SYNTAX_BAD;
	*line = span_trim(span_skip(*line, keyword.n));
	if (smtp_path_parse(line, true, out) != MX_OK)
		return SMTP_SYNTAX_PATH;
	return SMTP_SYNTAX_OK;
}

enum smtp_syntax smtp_mail_parse(struct span line, unsigned offered,
				 struct smtp_mail *out)
{
	struct context ctx = { .verb = SMTP_MAIL, .offered = offered };
	enum smtp_syntax syntax;

	*out = (struct smtp_mail){ 0 };
	syntax = take_path(&line, SPAN_LIT("FROM:"), &out->from);
	if (syntax != SMTP_SYNTAX_OK)
		return syntax;
	/* Reverse-path = Path / "<>": postmaster needs its domain here */
	if (out->from.local.n > 0 && out->from.domain.n == 0)
		return SMTP_SYNTAX_PATH;
	syntax = read_parameters(&ctx, line, out);
	if (syntax == SMTP_SYNTAX_OK && out->from.is_utf8 && !out->smtputf8)
		return SMTP_SYNTAX_UTF8;
	return syntax;
}

enum smtp_syntax smtp_rcpt_parse(struct span line, unsigned offered, bool utf8,
				 struct smtp_rcpt *out)
{
	struct context ctx = { .verb = SMTP_RCPT,
			       .offered = offered,
			       .utf8 = utf8 };
	enum smtp_syntax syntax;

	*out = (struct smtp_rcpt){ 0 };
	syntax = take_path(&line, SPAN_LIT("TO:"), &out->to);
	if (syntax != SMTP_SYNTAX_OK)
		return syntax;
	if (out->to.local.n == 0)
		return SMTP_SYNTAX_PATH;
	if (out->to.is_utf8 && !utf8)
		return SMTP_SYNTAX_UTF8;
	return read_parameters(&ctx, line, out);
}

/* ---- The other way round ---- */

static void print(struct buf *out, enum smtp_verb verb, const void *in,
		  unsigned offered)
{
	for (size_t i = 0; i < SMTP_EXTENSIONS; i++) {
		const struct smtp_extension *e = &smtp_extensions[i];

		for (size_t k = 0; k < SMTP_PARAMETERS; k++) {
			const struct smtp_parameter *p;
			size_t start = out->n;

			p = &e->parameters[verb][k];
			if (p->keyword == NULL || (offered & e->bit) == 0)
				continue;
			buf_addc(out, ' ');
			buf_adds(out, p->keyword);
			if (!p->write(out, in))
				out->n = start;
		}
	}
}

static unsigned used(enum smtp_verb verb, const void *in)
{
	struct buf text = { 0 };
	unsigned bits = 0;

	for (size_t i = 0; i < SMTP_EXTENSIONS; i++) {
		size_t before = text.n;

		print(&text, verb, in, smtp_extensions[i].bit);
		if (text.n > before)
			bits |= smtp_extensions[i].bit;
	}
	buf_fini(&text);
	return bits;
}

void smtp_mail_print(struct buf *out, const struct smtp_mail *m,
		     unsigned offered)
{
	print(out, SMTP_MAIL, m, offered);
}

void smtp_rcpt_print(struct buf *out, const struct smtp_rcpt *r,
		     unsigned offered)
{
	struct smtp_rcpt said = *r;

	said.is_ascii = (offered & SMTP_EXT_SMTPUTF8) == 0;
	print(out, SMTP_RCPT, &said, offered);
}

unsigned smtp_mail_used(const struct smtp_mail *m)
{
	return used(SMTP_MAIL, m);
}

unsigned smtp_rcpt_used(const struct smtp_rcpt *r)
{
	return used(SMTP_RCPT, r);
}

enum smtp_syntax smtp_bdat_parse(struct span line, uint64_t *size, bool *last)
{
	struct span rest = span_trim(line);
	struct span digits = span_cut(&rest, ' ');

	rest = span_trim(rest);
	*last = span_ieq(rest, SPAN_LIT("LAST"));
	if ((rest.n > 0 && !*last) || !span_u64(digits, size))
		return SMTP_SYNTAX_BAD;
	return SMTP_SYNTAX_OK;
}

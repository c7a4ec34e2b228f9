/*
 * MAIL, RCPT and BDAT.  The parameters are two tables: keyword, the extension
 * that brings it, the function that reads its value.
 */
#include "common/smtp/command.h"

#include "common/base/assert.h"
#include "common/base/utf8.h"

enum {
	ENVID_MAX = 100,      /* RFC 3461 section 4.4, encoded */
	ORCPT_MAX = 500,      /* RFC 3461 section 4.2, encoded */
	SIZE_DIGITS_MAX = 20, /* RFC 1870 section 3 */
};

/* A parameter as it stands on the line; value.p is NULL without "=". */
struct parameter {
	struct span keyword, value;
	bool is_wrong; /* no esmtp-value */
};

struct rule {
	const char *keyword;
	unsigned extension;
	/* What is wrong in its value is as if it had not been given: see
	 * read_parameter.  read leaves *out alone then. */
	bool is_hint;
	enum smtp_syntax (*read)(struct span value, bool utf8, void *out);
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

/* Does the xtext stand for printable ASCII, as the DSN format needs? */
static bool is_printable_xtext(struct span xtext)
{
	struct buf text = { 0 };
	bool ok = smtp_xtext_decode(&text, xtext);

	for (size_t i = 0; ok && i < text.n; i++)
		ok = text.p[i] >= 32 && text.p[i] <= 126;
	buf_fini(&text);
	return ok;
}

/* RFC 1870 section 3.  More than 64 bits is more than any limit. */
static enum smtp_syntax read_size(struct span value, bool utf8, void *out)
{
	struct smtp_mail *m = out;

	(void)utf8;
	if (value.n == 0 || value.n > SIZE_DIGITS_MAX)
		return SMTP_SYNTAX_PARAMETER;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < '0' || value.p[i] > '9')
			return SMTP_SYNTAX_PARAMETER;
	if (!span_u64(value, &m->size))
		m->size = UINT64_MAX;
	m->has_size = true;
	return SMTP_SYNTAX_OK;
}

/* RFC 6152 section 2; BINARYMIME (RFC 3030) is known but never offered. */
static enum smtp_syntax read_body(struct span value, bool utf8, void *out)
{
	struct smtp_mail *m = out;

	(void)utf8;
	if (span_ieq(value, SPAN_LIT("7BIT")))
		m->body = SMTP_BODY_7BIT;
	else if (span_ieq(value, SPAN_LIT("8BITMIME")))
		m->body = SMTP_BODY_8BITMIME;
	else if (span_ieq(value, SPAN_LIT("BINARYMIME")))
		return SMTP_SYNTAX_UNKNOWN;
	else
		return SMTP_SYNTAX_PARAMETER;
	return SMTP_SYNTAX_OK;
}

/* RFC 3461 section 4.3 */
static enum smtp_syntax read_ret(struct span value, bool utf8, void *out)
{
	struct smtp_mail *m = out;

	(void)utf8;
	if (span_ieq(value, SPAN_LIT("FULL")))
		m->ret = SMTP_RET_FULL;
	else if (span_ieq(value, SPAN_LIT("HDRS")))
		m->ret = SMTP_RET_HDRS;
	else
		return SMTP_SYNTAX_PARAMETER;
	return SMTP_SYNTAX_OK;
}

/* RFC 3461 section 4.4 */
static enum smtp_syntax read_envid(struct span value, bool utf8, void *out)
{
	struct smtp_mail *m = out;

	(void)utf8;
	if (value.n == 0 || value.n > ENVID_MAX || !is_printable_xtext(value))
		return SMTP_SYNTAX_PARAMETER;
	m->envid = value;
	return SMTP_SYNTAX_OK;
}

/* RFC 6531 section 3.4 */
static enum smtp_syntax read_smtputf8(struct span value, bool utf8, void *out)
{
	struct smtp_mail *m = out;

	(void)utf8;
	m->smtputf8 = value.p == NULL;
	return m->smtputf8 ? SMTP_SYNTAX_OK : SMTP_SYNTAX_PARAMETER;
}

/* RFC 8689 section 3 */
static enum smtp_syntax read_requiretls(struct span value, bool utf8, void *out)
{
	struct smtp_mail *m = out;

	(void)utf8;
	m->requiretls = value.p == NULL;
	return m->requiretls ? SMTP_SYNTAX_OK : SMTP_SYNTAX_PARAMETER;
}

/* RFC 3461 section 4.1: "NEVER", or a list of the others. */
static enum smtp_syntax read_notify(struct span value, bool utf8, void *out)
{
	static const struct {
		const char *word;
		unsigned bit;
	} words[] = {
		{ "SUCCESS", SMTP_NOTIFY_SUCCESS },
		{ "FAILURE", SMTP_NOTIFY_FAILURE },
		{ "DELAY", SMTP_NOTIFY_DELAY },
	};
	struct smtp_rcpt *r = out;
	size_t left = value.n + 1; /* a comma at the end leaves a word, too */

	(void)utf8;
	if (span_ieq(value, SPAN_LIT("NEVER"))) {
		r->notify = SMTP_NOTIFY_NEVER;
		return SMTP_SYNTAX_OK;
	}
	while (left > 0) {
		struct span word = span_cut(&value, ',');
		size_t i = 0;

		while (i < COUNT(words) &&
		       !span_ieq(word, span_str(words[i].word)))
			i++;
		if (i == COUNT(words))
			return SMTP_SYNTAX_PARAMETER;
		r->notify |= words[i].bit;
		left -= word.n + 1;
	}
	return SMTP_SYNTAX_OK;
}

/* EmbeddedUnicodeChar = "\x{" HEXPOINT "}"; steps over it. */
static bool take_unicode_point(struct span *s)
{
	size_t close = span_find(*s, '}');

	if (!span_starts(*s, SPAN_LIT("\\x{")) || close < 5 || close > 9 ||
	    close == s->n)
		return false;
	for (size_t i = 3; i < close; i++)
		if (strchr("0123456789ABCDEF", s->p[i]) == NULL)
			return false;
	*s = span_skip(*s, close + 1);
	return true;
}

/* RFC 6533 section 3: what follows "utf-8;".  UTF-8 as such needs SMTPUTF8. */
static bool is_utf8_address(struct span s, bool utf8)
{
	if (span_has_8bit(s) && !utf8)
		return false;
	while (s.n > 0) {
		if (take_unicode_point(&s))
			continue;
		if (s.p[0] == '\\' || s.p[0] == '+')
			return false;
		s = span_skip(s, 1);
	}
	return true;
}

/* original-recipient-address = addr-type ";" xtext, RFC 3461 section 4.2 */
static enum smtp_syntax read_orcpt(struct span value, bool utf8, void *out)
{
	struct smtp_rcpt *r = out;
	struct span address = value;
	struct span type = span_cut(&address, ';');
	bool ok;

	if (value.n > ORCPT_MAX || type.n == 0 || address.n == 0)
		return SMTP_SYNTAX_PARAMETER;
	for (size_t i = 0; i < type.n; i++) /* addr-type = atom */
		if (!smtp_is_local((struct span){ type.p + i, 1 }, false))
			return SMTP_SYNTAX_PARAMETER;
	if (span_ieq(type, SPAN_LIT("utf-8")))
		ok = is_utf8_address(address, utf8);
	else
		ok = is_printable_xtext(address);
	if (!ok)
		return SMTP_SYNTAX_PARAMETER;
	r->orcpt = value;
	return SMTP_SYNTAX_OK;
}

/* clang-format off */
static const struct rule mail_rules[] = {
	{ "SIZE",       SMTP_EXT_SIZE,       false, read_size },
	{ "BODY",       SMTP_EXT_8BITMIME,   false, read_body },
	{ "SMTPUTF8",   SMTP_EXT_SMTPUTF8,   false, read_smtputf8 },
	{ "RET",        SMTP_EXT_DSN,        false, read_ret },
	{ "ENVID",      SMTP_EXT_DSN,        true,  read_envid },
	{ "REQUIRETLS", SMTP_EXT_REQUIRETLS, false, read_requiretls },
};

static const struct rule rcpt_rules[] = {
	{ "NOTIFY",     SMTP_EXT_DSN,        false, read_notify },
	{ "ORCPT",      SMTP_EXT_DSN,        true,  read_orcpt },
};
/* clang-format on */

struct context {
	const struct rule *rules;
	size_t count;
	unsigned offered;
	unsigned seen; /* one bit a rule */
	bool utf8;
};

static const struct rule *rule_find(const struct context *ctx,
				    struct span keyword)
{
	for (size_t i = 0; i < ctx->count; i++)
		if (span_ieq(keyword, span_str(ctx->rules[i].keyword)) &&
		    (ctx->offered & ctx->rules[i].extension) != 0)
			return &ctx->rules[i];
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
	const struct rule *rule;
	struct parameter p;
	unsigned bit;

	if (!parameter_cut(word, &p))
		return SMTP_SYNTAX_PARAMETER;
	rule = rule_find(ctx, p.keyword);
	if (rule == NULL)
		return p.is_wrong ? SMTP_SYNTAX_PARAMETER : SMTP_SYNTAX_UNKNOWN;
	bit = 1U << (rule - ctx->rules);
	if (ctx->seen & bit)
		return SMTP_SYNTAX_PARAMETER;
	ctx->seen |= bit;
	if (!p.is_wrong)
		syntax = rule->read(p.value, ctx->utf8, out);
	return syntax == SMTP_SYNTAX_PARAMETER && rule->is_hint
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
	struct context ctx = { .rules = mail_rules,
			       .count = COUNT(mail_rules),
			       .offered = offered };
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
	struct context ctx = { .rules = rcpt_rules,
			       .count = COUNT(rcpt_rules),
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

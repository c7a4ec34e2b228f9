/*
 * The rows of extension.h, and what they do.
 *
 * Their order is that in which they are printed, and their parameters follow
 * each other in MAIL and RCPT; that of our own EHLO is `line`.
 */
#include "common/smtp/extension.h"

#include "common/base/assert.h"
#include "common/base/utf8.h"

enum {
	ENVID_MAX = 100,      /* RFC 3461 section 4.4, encoded */
	ORCPT_MAX = 500,      /* RFC 3461 section 4.2, encoded */
	SIZE_DIGITS_MAX = 20, /* RFC 1870 section 3 */
};

/* ---- Behind the keyword in EHLO ---- */

/* RFC 1870 section 3 */
static void read_size_most(struct span args, struct smtp_ehlo *out)
{
	span_u64(args, &out->size);
}

static void write_size_most(struct buf *out, const struct smtp_ehlo *e)
{
	if (e->size > 0)
		buf_addf(out, " %llu", (unsigned long long)e->size);
}

/* RFC 9422 section 4: %x31-39 0*5DIGIT; anything else is ignored. */
static void read_limit(struct span word, const char *name, uint32_t *out)
{
	struct span key = span_cut(&word, '=');
	uint64_t value;

	if (span_ieq(key, span_str(name)) && word.n <= 6 &&
	    span_u64(word, &value) && value > 0 && word.p[0] != '0')
		*out = (uint32_t)value;
}

static void read_limits(struct span args, struct smtp_ehlo *out)
{
	while (args.n > 0) {
		struct span word = span_cut(&args, ' ');

		read_limit(word, "MAILMAX", &out->mail_max);
		read_limit(word, "RCPTMAX", &out->rcpt_max);
	}
}

static void write_limits(struct buf *out, const struct smtp_ehlo *e)
{
	if (e->mail_max > 0)
		buf_addf(out, " MAILMAX=%u", e->mail_max);
	if (e->rcpt_max > 0)
		buf_addf(out, " RCPTMAX=%u", e->rcpt_max);
}

/* ---- Parameters ---- */

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

static bool write_size(struct buf *out, const void *in)
{
	const struct smtp_mail *m = in;

	buf_addf(out, "=%llu", (unsigned long long)m->size);
	return m->has_size;
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

static bool write_body(struct buf *out, const void *in)
{
	const struct smtp_mail *m = in;

	buf_adds(out, m->body == SMTP_BODY_7BIT ? "=7BIT" : "=8BITMIME");
	return m->body != SMTP_BODY_NONE;
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

static bool write_ret(struct buf *out, const void *in)
{
	const struct smtp_mail *m = in;

	buf_adds(out, m->ret == SMTP_RET_FULL ? "=FULL" : "=HDRS");
	return m->ret != SMTP_RET_NONE;
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

static bool write_envid(struct buf *out, const void *in)
{
	const struct smtp_mail *m = in;

	buf_addc(out, '=');
	buf_add(out, m->envid);
	return m->envid.n > 0;
}

/* RFC 6531 section 3.4 */
static enum smtp_syntax read_smtputf8(struct span value, bool utf8, void *out)
{
	struct smtp_mail *m = out;

	(void)utf8;
	m->smtputf8 = value.p == NULL;
	return m->smtputf8 ? SMTP_SYNTAX_OK : SMTP_SYNTAX_PARAMETER;
}

static bool write_smtputf8(struct buf *out, const void *in)
{
	(void)out;
	return ((const struct smtp_mail *)in)->smtputf8;
}

/* RFC 8689 section 3 */
static enum smtp_syntax read_requiretls(struct span value, bool utf8, void *out)
{
	struct smtp_mail *m = out;

	(void)utf8;
	m->requiretls = value.p == NULL;
	return m->requiretls ? SMTP_SYNTAX_OK : SMTP_SYNTAX_PARAMETER;
}

static bool write_requiretls(struct buf *out, const void *in)
{
	(void)out;
	return ((const struct smtp_mail *)in)->requiretls;
}

static const struct {
	const char *word;
	unsigned bit;
} notify_words[] = {
	{ "NEVER", SMTP_NOTIFY_NEVER },
	{ "SUCCESS", SMTP_NOTIFY_SUCCESS },
	{ "FAILURE", SMTP_NOTIFY_FAILURE },
	{ "DELAY", SMTP_NOTIFY_DELAY },
};

/* RFC 3461 section 4.1: "NEVER", or a list of the others. */
static enum smtp_syntax read_notify(struct span value, bool utf8, void *out)
{
	struct smtp_rcpt *r = out;
	size_t left = value.n + 1; /* a comma at the end leaves a word, too */

	(void)utf8;
	if (span_ieq(value, SPAN_LIT("NEVER"))) {
		r->notify = SMTP_NOTIFY_NEVER;
		return SMTP_SYNTAX_OK;
	}
	while (left > 0) {
		struct span word = span_cut(&value, ',');
		size_t i = 1; /* NEVER stands alone */

		while (i < COUNT(notify_words) &&
		       !span_ieq(word, span_str(notify_words[i].word)))
			i++;
		if (i == COUNT(notify_words))
			return SMTP_SYNTAX_PARAMETER;
		r->notify |= notify_words[i].bit;
		left -= word.n + 1;
	}
	return SMTP_SYNTAX_OK;
}

static bool write_notify(struct buf *out, const void *in)
{
	const struct smtp_rcpt *r = in;
	char sep = '=';

	for (size_t i = 0; i < COUNT(notify_words); i++) {
		if ((r->notify & notify_words[i].bit) == 0)
			continue;
		buf_addc(out, sep);
		buf_adds(out, notify_words[i].word);
		sep = ',';
	}
	return r->notify != 0;
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

static bool write_orcpt(struct buf *out, const void *in)
{
	const struct smtp_rcpt *r = in;
	size_t start;

	buf_addc(out, '=');
	start = out->n;
	if (r->is_ascii)
		smtp_utf8_xtext_add(out, r->orcpt);
	else
		buf_add(out, r->orcpt);
	return r->orcpt.n > 0 && out->n - start <= ORCPT_MAX;
}

/* ---- The table ---- */

#define ROW(name, ext, place) .keyword = name, .bit = ext, .line = place
#define EHLO(fn) .read = read_##fn, .write = write_##fn
#define MAIL(...) .parameters[SMTP_MAIL] = { __VA_ARGS__ }
#define RCPT(...) .parameters[SMTP_RCPT] = { __VA_ARGS__ }
#define WORD(name, fn) { name, false, read_##fn, write_##fn }
#define HINT(name, fn) { name, true, read_##fn, write_##fn }

/* clang-format off */
const struct smtp_extension smtp_extensions[SMTP_EXTENSIONS] = {
	/* keyword, bit, line of our EHLO; its arguments; parameters */
	{ ROW("PIPELINING",          SMTP_EXT_PIPELINING, 1) },
	{ ROW("SIZE",                SMTP_EXT_SIZE,       2), EHLO(size_most),
	  MAIL(WORD("SIZE", size)) },
	{ ROW("8BITMIME",            SMTP_EXT_8BITMIME,   6),
	  MAIL(WORD("BODY", body)) },
	{ ROW("SMTPUTF8",            SMTP_EXT_SMTPUTF8,   8),
	  MAIL(WORD("SMTPUTF8", smtputf8)) },
	{ ROW("CHUNKING",            SMTP_EXT_CHUNKING,  11) },
	{ ROW("DSN",                 SMTP_EXT_DSN,        7),
	  MAIL(WORD("RET", ret), HINT("ENVID", envid)),
	  RCPT(WORD("NOTIFY", notify), HINT("ORCPT", orcpt)) },
	{ ROW("ENHANCEDSTATUSCODES", SMTP_EXT_ENHANCED,   5) },
	{ ROW("STARTTLS",            SMTP_EXT_STARTTLS,   3) },
	{ ROW("REQUIRETLS",          SMTP_EXT_REQUIRETLS, 9),
	  MAIL(WORD("REQUIRETLS", requiretls)) },
	{ ROW("ETRN",                SMTP_EXT_ETRN,       4) },
	{ ROW("LIMITS",              SMTP_EXT_LIMITS,    10), EHLO(limits) },
};
/* clang-format on */

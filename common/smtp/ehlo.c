#include "common/smtp/ehlo.h"

#include "common/base/assert.h"

/* clang-format off */
static const struct {
	const char *keyword;
	unsigned bit;
} keywords[] = {
	{ "PIPELINING",          SMTP_EXT_PIPELINING },
	{ "SIZE",                SMTP_EXT_SIZE },
	{ "8BITMIME",            SMTP_EXT_8BITMIME },
	{ "SMTPUTF8",            SMTP_EXT_SMTPUTF8 },
	{ "CHUNKING",            SMTP_EXT_CHUNKING },
	{ "DSN",                 SMTP_EXT_DSN },
	{ "ENHANCEDSTATUSCODES", SMTP_EXT_ENHANCED },
	{ "STARTTLS",            SMTP_EXT_STARTTLS },
	{ "REQUIRETLS",          SMTP_EXT_REQUIRETLS },
	{ "ETRN",                SMTP_EXT_ETRN },
	{ "LIMITS",              SMTP_EXT_LIMITS },
};
/* clang-format on */

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

static void read_keyword(struct span line, struct smtp_ehlo *out)
{
	struct span args = span_trim(line);
	struct span word = span_cut(&args, ' ');
	size_t i = 0;

	while (i < COUNT(keywords) &&
	       !span_ieq(word, span_str(keywords[i].keyword)))
		i++;
	if (i == COUNT(keywords))
		return;
	out->offered |= keywords[i].bit;
	args = span_trim(args);
	if (keywords[i].bit == SMTP_EXT_SIZE)
		span_u64(args, &out->size);
	else if (keywords[i].bit == SMTP_EXT_LIMITS)
		read_limits(args, out);
}

void smtp_ehlo_parse(const struct smtp_reply *r, struct smtp_ehlo *out)
{
	struct span lines = buf_span(&r->text);
	struct span greeting = span_cut(&lines, '\n');
	struct span host = span_cut(&greeting, ' ');

	*out = (struct smtp_ehlo){ 0 };
	if (r->code != 250)
		return;
	if (host.n > sizeof(out->host) - 1)
		host.n = sizeof(out->host) - 1;
	if (host.n > 0)
		memcpy(out->host, host.p, host.n);
	while (lines.n > 0)
		read_keyword(span_cut(&lines, '\n'), out);
}

static void print_argument(struct buf *out, const struct smtp_ehlo *e,
			   unsigned bit)
{
	if (bit == SMTP_EXT_SIZE && e->size > 0)
		buf_addf(out, "=%llu", (unsigned long long)e->size);
	if (bit == SMTP_EXT_LIMITS && e->mail_max > 0)
		buf_addf(out, " MAILMAX=%u", e->mail_max);
	if (bit == SMTP_EXT_LIMITS && e->rcpt_max > 0)
		buf_addf(out, " RCPTMAX=%u", e->rcpt_max);
}

void smtp_ehlo_print(struct buf *out, const struct smtp_ehlo *e)
{
	const char *separator = "";

	for (size_t i = 0; i < COUNT(keywords); i++) {
		if ((e->offered & keywords[i].bit) == 0)
			continue;
		buf_adds(out, separator);
		buf_adds(out, keywords[i].keyword);
		print_argument(out, e, keywords[i].bit);
		separator = " ";
	}
}

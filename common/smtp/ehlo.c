#include "common/smtp/ehlo.h"

#include "common/smtp/extension.h"

static void read_keyword(struct span line, struct smtp_ehlo *out)
{
	struct span args = span_trim(line);
	struct span word = span_cut(&args, ' ');
	const struct smtp_extension *e = smtp_extensions;
	const struct smtp_extension *end = e + SMTP_EXTENSIONS;

	while (e < end && !span_ieq(word, span_str(e->keyword)))
		e++;
	if (e == end)
		return;
	out->offered |= e->bit;
	if (e->read != NULL)
		e->read(span_trim(args), out);
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

/* With its arguments; "SIZE=1000" is shorter to read. */
void smtp_ehlo_print(struct buf *out, const struct smtp_ehlo *e)
{
	const char *separator = "";

	for (size_t i = 0; i < SMTP_EXTENSIONS; i++) {
		const struct smtp_extension *x = &smtp_extensions[i];
		size_t at;

		if ((e->offered & x->bit) == 0)
			continue;
		buf_adds(out, separator);
		buf_adds(out, x->keyword);
		at = out->n;
		if (x->write != NULL)
			x->write(out, e);
		if (x->bit == SMTP_EXT_SIZE && out->n > at)
			out->p[at] = '=';
		separator = " ";
	}
}

void smtp_ehlo_recall(struct span text, struct smtp_ehlo *out)
{
	*out = (struct smtp_ehlo){ 0 };
	while (text.n > 0) {
		struct span value = span_cut(&text, ' ');
		struct span keyword = span_cut(&value, '=');

		for (size_t i = 0; i < SMTP_EXTENSIONS; i++)
			if (span_eq(keyword,
				    span_str(smtp_extensions[i].keyword)))
				out->offered |= smtp_extensions[i].bit;
		if (span_eq(keyword, SPAN_LIT("SIZE")) && value.n > 0)
			span_u64(value, &out->size);
	}
}

static void add_line(struct buf *out, const struct smtp_ehlo *e, unsigned line)
{
	for (size_t i = 0; i < SMTP_EXTENSIONS; i++) {
		const struct smtp_extension *x = &smtp_extensions[i];

		if (x->line != line || (e->offered & x->bit) == 0)
			continue;
		buf_adds(out, "\r\n250-");
		buf_adds(out, x->keyword);
		if (x->write != NULL)
			x->write(out, e);
	}
}

void smtp_ehlo_write(struct buf *out, struct span host,
		     const struct smtp_ehlo *e)
{
	size_t last = out->n;

	buf_addf(out, "250-%.*s", SPAN_ARG(host));
	for (unsigned line = 1; line <= SMTP_EXTENSIONS; line++) {
		size_t at = out->n;

		add_line(out, e, line);
		if (out->n > at)
			last = at + 2; /* behind CR LF */
	}
	out->p[last + 3] = ' ';
	buf_adds(out, "\r\n");
}

unsigned smtp_ehlo_ours(void)
{
	unsigned bits = 0;

	for (size_t i = 0; i < SMTP_EXTENSIONS; i++)
		if (smtp_extensions[i].line > 0)
			bits |= smtp_extensions[i].bit;
	return bits;
}

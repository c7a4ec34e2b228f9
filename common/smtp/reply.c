#include "common/smtp/reply.h"

#include <string.h>

#include "common/base/assert.h"

void smtp_reply_fini(struct smtp_reply *r)
{
	buf_fini(&r->text);
	*r = (struct smtp_reply){ 0 };
}

void smtp_reply_reset(struct smtp_reply *r)
{
	r->code = 0;
	r->is_odd = r->is_bare = false;
	r->enhanced[0] = '\0';
	r->made = NULL;
	buf_reset(&r->text);
}

void smtp_reply_copy(struct smtp_reply *to, const struct smtp_reply *from)
{
	if (to == from)
		return;
	smtp_reply_set(to, from->code, from->enhanced, buf_span(&from->text));
	to->is_odd = from->is_odd;
	to->is_bare = from->is_bare;
	to->made = from->made;
}

void smtp_reply_set(struct smtp_reply *r, int code, const char *enhanced,
		    struct span text)
{
	size_t n = strlen(enhanced);

	MX_ASSERT(n < sizeof(r->enhanced));
	smtp_reply_reset(r);
	r->code = code;
	memcpy(r->enhanced, enhanced, n + 1);
	buf_add(&r->text, text);
}

bool smtp_reply_is_made(struct span text)
{
	return text.n > 0 && text.p[0] == '(';
}

static bool is_status(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (strchr("0123456789.", s.p[i]) == NULL)
			return false;
	return s.n >= strlen("4.0.0");
}

/* What is not printed is known from where it was: RFC 3463 sections 3.3 and
 * 3.5. */
static const struct {
	const char *stage, *status;
} silent[] = {
	{ "(connect)", "4.4.1" },
	{ "(route)", "4.4.3" },
	{ "(lifetime)", "4.4.7" },
	{ "(spool)", "4.3.0" },
};

struct span smtp_reply_made_status(struct span text)
{
	struct span rest = text, stage = span_cut(&rest, ' '), code;

	if (!smtp_reply_is_made(text))
		return SPAN_LIT("");
	code = span_cut(&rest, ' ');
	if (is_status(code))
		return code;
	for (size_t i = 0; i < COUNT(silent); i++)
		if (span_eq(stage, span_str(silent[i].stage)))
			return span_str(silent[i].status);
	return SPAN_LIT("4.4.2");
}

static void print_codes(struct buf *out, const struct smtp_reply *r)
{
	bool is_silence = strcmp(r->enhanced, "4.4.1") == 0 ||
			  strcmp(r->enhanced, "4.4.2") == 0;

	if (r->made != NULL) {
		buf_addc(out, '(');
		buf_adds(out, r->made);
		buf_addc(out, ')');
	} else {
		buf_addc(out, (char)('0' + r->code / 100 % 10));
		buf_addc(out, (char)('0' + r->code / 10 % 10));
		buf_addc(out, (char)('0' + r->code % 10));
	}
	if (r->enhanced[0] == '\0' || (r->made != NULL && is_silence))
		return;
	buf_addc(out, ' ');
	buf_adds(out, r->enhanced);
}

void smtp_reply_print(struct buf *out, const struct smtp_reply *r)
{
	size_t at;

	print_codes(out, r);
	if (r->text.n == 0)
		return;
	buf_addc(out, ' ');
	at = out->n;
	buf_add(out, buf_span(&r->text));
	for (; at < out->n; at++)
		if (out->p[at] == '\n')
			out->p[at] = ' ';
}

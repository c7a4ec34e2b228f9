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
	buf_reset(&r->text);
}

void smtp_reply_copy(struct smtp_reply *to, const struct smtp_reply *from)
{
	if (to == from)
		return;
	smtp_reply_set(to, from->code, from->enhanced, buf_span(&from->text));
	to->is_odd = from->is_odd;
	to->is_bare = from->is_bare;
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

void smtp_reply_print(struct buf *out, const struct smtp_reply *r)
{
	buf_addf(out, "%03d", r->code);
	if (r->enhanced[0] != '\0')
		buf_addf(out, " %s", r->enhanced);
	if (r->text.n == 0)
		return;
	buf_addc(out, ' ');
	for (size_t i = 0; i < r->text.n; i++)
		buf_addc(out, r->text.p[i] == '\n' ? ' ' : r->text.p[i]);
}

#include "config/allow/recipient.h"

#include "common/base/utf8.h"
#include "config/value/text.h"

/* A quoted local part may hold blanks and #. */
struct span recipient_strip(struct span line)
{
	bool quoted = false;

	line = span_trim(line);
	for (size_t i = 0; i < line.n; i++) {
		bool blank =
			i == 0 || line.p[i - 1] == ' ' || line.p[i - 1] == '\t';

		if (line.p[i] == '\\' && quoted)
			i++;
		else if (line.p[i] == '"')
			quoted = !quoted;
		else if (line.p[i] == '#' && blank && !quoted)
			line.n = i;
	}
	return span_trim(line);
}

bool recipient_parse(struct span line, struct span text,
		     struct smtp_path *path)
{
	*path = (struct smtp_path){ .local = text };
	return !span_eq(text, SPAN_LIT("*")) && text.n <= SMTP_PATH_MAX &&
	       (smtp_is_local(text, true) ||
		smtp_mailbox_parse(text, true, path) == MX_OK) &&
	       !(span_has_8bit(text) && text_hides(line, text, NULL));
}

void recipient_wrong(struct buf *out, struct span line, struct span text)
{
	struct buf what = { 0 };

	if (span_eq(text, SPAN_LIT("*")))
		buf_adds(out, "to accept every local part write recipients=* "
			      "in the allowlist");
	else if (text_hides(line, text, &what))
		buf_addf(out, TEXT_HIDES, buf_cstr(&what));
	else
		buf_addf(out, "expected one address or local part, not "
			      "\"%.*s\"",
			 SPAN_ARG(text));
	buf_fini(&what);
}

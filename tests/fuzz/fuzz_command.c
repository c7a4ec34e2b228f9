/*
 * A client's command line: "MAIL FROM:...", "RCPT TO:...", "BDAT ...", or
 * any text as xtext.
 *
 * - What is taken can be said again and is taken again.
 * - What is taken with few extensions is taken with all of them.
 */
#include "common/smtp/command.h"

#include "common/base/utf8.h"
#include "tests/fuzz/fuzz.h"

enum { ALL = (1 << 11) - 1 };

static void check_inside(struct span part, struct span whole)
{
	FUZZ_CHECK(part.n == 0 ||
		   (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void check_path(const struct smtp_path *path, struct span line)
{
	struct smtp_path again;

	check_inside(path->mailbox, line);
	check_inside(path->local, path->mailbox);
	check_inside(path->domain, path->mailbox);
	FUZZ_CHECK(utf8_valid(path->mailbox));
	if (path->domain.n == 0)
		return;
	FUZZ_CHECK(smtp_mailbox_parse(path->mailbox, true, &again) == MX_OK);
	FUZZ_CHECK(span_eq(again.domain, path->domain));
}

static void check_mail(struct span line)
{
	struct smtp_mail few, all;
	struct buf again = { 0 };

	if (smtp_mail_parse(line, SMTP_EXT_SIZE, &few) == SMTP_SYNTAX_OK)
		FUZZ_CHECK(smtp_mail_parse(line, ALL, &all) == SMTP_SYNTAX_OK);
	if (smtp_mail_parse(line, ALL, &all) != SMTP_SYNTAX_OK)
		return;
	check_path(&all.from, line);
	check_inside(all.envid, line);
	FUZZ_CHECK(all.smtputf8 || !span_has_8bit(all.from.mailbox));
	buf_addf(&again, "FROM:<%.*s>", SPAN_ARG(all.from.mailbox));
	smtp_mail_print(&again, &all, ALL);
	FUZZ_CHECK(smtp_mail_parse(buf_span(&again), ALL, &few) ==
		   SMTP_SYNTAX_OK);
	FUZZ_CHECK(span_eq(few.from.mailbox, all.from.mailbox));
	FUZZ_CHECK(span_eq(few.envid, all.envid));
	FUZZ_CHECK(few.has_size == all.has_size && few.size == all.size);
	FUZZ_CHECK(few.body == all.body && few.ret == all.ret);
	FUZZ_CHECK(few.smtputf8 == all.smtputf8 &&
		   few.requiretls == all.requiretls);
	buf_fini(&again);
}

static void check_rcpt(struct span line)
{
	struct smtp_rcpt plain, utf8;
	struct buf again = { 0 };

	if (smtp_rcpt_parse(line, ALL, false, &plain) == SMTP_SYNTAX_OK) {
		FUZZ_CHECK(!span_has_8bit(plain.to.mailbox));
		FUZZ_CHECK(!span_has_8bit(plain.orcpt));
		FUZZ_CHECK(smtp_rcpt_parse(line, ALL, true, &utf8) ==
			   SMTP_SYNTAX_OK);
	}
	if (smtp_rcpt_parse(line, ALL, true, &utf8) != SMTP_SYNTAX_OK)
		return;
	check_path(&utf8.to, line);
	FUZZ_CHECK(utf8.to.local.n > 0);
	FUZZ_CHECK(!(utf8.notify & SMTP_NOTIFY_NEVER) ||
		   utf8.notify == SMTP_NOTIFY_NEVER);
	buf_addf(&again, "TO:<%.*s>", SPAN_ARG(utf8.to.mailbox));
	smtp_rcpt_print(&again, &utf8, ALL);
	FUZZ_CHECK(smtp_rcpt_parse(buf_span(&again), ALL, true, &plain) ==
		   SMTP_SYNTAX_OK);
	FUZZ_CHECK(span_eq(plain.to.mailbox, utf8.to.mailbox));
	FUZZ_CHECK(span_eq(plain.orcpt, utf8.orcpt));
	FUZZ_CHECK(plain.notify == utf8.notify);
	buf_fini(&again);
}

/* No more octets than characters, and nothing where it fails. */
static void check_xtext(struct span xtext)
{
	struct buf text = { 0 };
	bool ok = smtp_xtext_decode(&text, xtext);

	FUZZ_CHECK(text.n <= (ok ? xtext.n : 0));
	buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span line = span_of(data, size), rest = span_skip(line, 5);
	uint64_t chunk;
	bool last;

	if (span_starts(line, SPAN_LIT("MAIL ")))
		check_mail(rest);
	else if (span_starts(line, SPAN_LIT("RCPT ")))
		check_rcpt(rest);
	else if (span_starts(line, SPAN_LIT("BDAT ")))
		smtp_bdat_parse(rest, &chunk, &last);
	else
		check_xtext(line);
	return 0;
}

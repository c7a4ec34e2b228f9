/*
 * Mailboxes, local parts and domains by themselves.
 *
 * - The canonical form of a domain is its own canonical form, and ASCII.
 * - A mailbox that is taken has a domain that the DNS can hold.
 */
#include "common/smtp/address.h"

#include "common/base/utf8.h"
#include "tests/fuzz/fuzz.h"

static void check_domain(struct span s)
{
	struct buf first = { 0 }, second = { 0 };
	bool ok = smtp_domain_canon(&first, s) == MX_OK;

	FUZZ_CHECK(ok || first.n == 0);
	if (ok) {
		FUZZ_CHECK(first.n > 0 && first.n <= 253);
		FUZZ_CHECK(!span_has_8bit(buf_span(&first)));
		FUZZ_CHECK(smtp_domain_canon(&second, buf_span(&first)) ==
			   MX_OK);
		FUZZ_CHECK(span_eq(buf_span(&first), buf_span(&second)));
	}
	FUZZ_CHECK(!smtp_is_domain(s) || ok || s.n > 253);
	FUZZ_CHECK(!smtp_is_literal(s) || !ok);
	buf_fini(&first);
	buf_fini(&second);
}

static void check_mailbox(struct span s)
{
	struct smtp_path path;
	struct buf canon = { 0 };

	if (smtp_mailbox_parse(s, true, &path) != MX_OK)
		return;
	FUZZ_CHECK(s.n <= SMTP_PATH_MAX - 2);
	FUZZ_CHECK(path.local.n + 1 + path.domain.n == path.mailbox.n);
	FUZZ_CHECK(path.mailbox.p == s.p);
	FUZZ_CHECK(path.mailbox.n == s.n ||
		   (path.mailbox.n + 1 == s.n && s.p[s.n - 1] == '.'));
	FUZZ_CHECK(smtp_is_local(path.local, true));
	if (path.is_literal)
		FUZZ_CHECK(smtp_is_literal(path.domain));
	else if (path.domain.n <= 253)
		FUZZ_CHECK(smtp_domain_canon(&canon, path.domain) == MX_OK);
	FUZZ_CHECK((smtp_mailbox_parse(s, false, &path) == MX_OK) ==
		   !span_has_8bit(s));
	buf_fini(&canon);
}

/* What goes on is what the next server reads, whatever was let pass. */
static void check_written(const struct smtp_path *path)
{
	struct buf text = { 0 };
	struct span rest;
	struct smtp_path again;

	buf_addf(&text, "<%.*s>", SPAN_ARG(path->mailbox));
	FUZZ_CHECK(text.n <= SMTP_PATH_MAX);
	rest = buf_span(&text);
	FUZZ_CHECK(smtp_path_parse(&rest, true, &again) == MX_OK);
	FUZZ_CHECK(rest.n == 0);
	FUZZ_CHECK(span_eq(again.mailbox, path->mailbox));
	FUZZ_CHECK(span_eq(again.local, path->local));
	FUZZ_CHECK(span_eq(again.domain, path->domain));
	if (path->local.n > 0 && path->local.p[0] != '"')
		for (size_t i = 0; i < path->mailbox.n; i++)
			FUZZ_CHECK(path->mailbox.p[i] > ' ' ||
				   (path->mailbox.p[i] & 0x80) != 0);
	buf_fini(&text);
}

static void check_path(struct span s)
{
	struct span rest = s;
	struct smtp_path path;

	if (smtp_path_parse(&rest, true, &path) != MX_OK) {
		FUZZ_CHECK(rest.p == s.p && rest.n == s.n);
		return;
	}
	FUZZ_CHECK(rest.n < s.n);
	if (s.p[0] == '<')
		FUZZ_CHECK(rest.p[-1] == '>');
	else
		FUZZ_CHECK(rest.n == 0 || rest.p[0] == ' ' ||
			   rest.p[0] == '\t');
	FUZZ_CHECK(s.n - rest.n <= SMTP_PATH_MAX);
	check_written(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct buf local = { 0 };

	check_domain(in);
	check_mailbox(in);
	check_path(in);
	smtp_local_canon(&local, in);
	FUZZ_CHECK(local.n <= 3 * in.n);
	buf_fini(&local);
	return 0;
}

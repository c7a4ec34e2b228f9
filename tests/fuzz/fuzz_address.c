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
	FUZZ_CHECK(path.local.n + 1 + path.domain.n == s.n);
	FUZZ_CHECK(smtp_is_local(path.local, true));
	if (path.is_literal)
		FUZZ_CHECK(smtp_is_literal(path.domain));
	else if (path.domain.n <= 253)
		FUZZ_CHECK(smtp_domain_canon(&canon, path.domain) == MX_OK);
	FUZZ_CHECK((smtp_mailbox_parse(s, false, &path) == MX_OK) ==
		   !span_has_8bit(s));
	buf_fini(&canon);
}

static void check_path(struct span s)
{
	struct span rest = s;
	struct smtp_path path;

	if (smtp_path_parse(&rest, true, &path) != MX_OK) {
		FUZZ_CHECK(rest.p == s.p && rest.n == s.n);
		return;
	}
	FUZZ_CHECK(rest.n < s.n && rest.p[-1] == '>');
	FUZZ_CHECK(s.n - rest.n <= SMTP_PATH_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct buf local = { 0 };

	check_domain(in);
	check_mailbox(in);
	check_path(in);
	smtp_local_canon(&local, in);
	FUZZ_CHECK(local.n <= in.n);
	buf_fini(&local);
	return 0;
}

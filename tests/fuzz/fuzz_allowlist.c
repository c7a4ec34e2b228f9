/*
 * The allowlist and a recipient file, with a NUL between them.
 *
 * - Every row is found under its own name, and accepts postmaster.
 * - Look-ups with anything at all stay inside.
 */
#include "config/allowlist.h"
#include "config/domains.h"

#include "common/smtp/address.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz.h"

static bool check_row(const struct config_domain *row, void *arg)
{
	const struct domains *d = arg;
	struct span name = row->name, sub = SPAN_LIT("no-such-label");
	struct buf domain = { 0 }, canon = { 0 };

	if (span_starts(name, SPAN_LIT("*."))) {
		buf_add(&domain, sub);
		name = span_skip(name, 1);
	}
	buf_add(&domain, name);
	/* a wildcard may leave no room for a label below it */
	if (domain.n <= 253) {
		FUZZ_CHECK(domains_find(d, buf_span(&domain)) == row);
		FUZZ_CHECK(smtp_domain_canon(&canon, buf_span(&domain)) ==
			   MX_OK);
		FUZZ_CHECK(span_eq(buf_span(&canon), buf_span(&domain)));
		FUZZ_CHECK(domains_has_recipient(d, row, buf_span(&domain),
						 SPAN_LIT("PostMaster")));
	}
	domains_has_recipient(d, row, buf_span(&domain), SPAN_LIT("a+b"));
	domains_has_recipient(d, row, buf_span(&domain), SPAN_LIT("\"a b\""));
	buf_fini(&domain);
	buf_fini(&canon);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), list = fuzz_text(&in);
	struct config_errors errors = { 0 };
	struct buf path = { 0 }, domains = { 0 };
	struct config c = { .tls.outbound = TLS_LEVEL_MAY,
			    .drain.port = 25,
			    .spool.lifetime_ms = 1000 };

	if (list.n > 0 && memmem(list.p, list.n, "/", 1) != NULL)
		return 0; /* other files are not this target's */
	fuzz_file("domains", list);
	fuzz_file("file", in);
	buf_addf(&path, "%s/mx20.conf", fuzz_directory());
	buf_addf(&domains, "%s/domains", fuzz_directory());
	buf_cstr(&domains);
	c.path = span_str(buf_cstr(&path));
	c.domains_path = buf_span(&domains);
	allowlist_read(&c, &errors);
	FUZZ_CHECK((errors.count > 0) == (errors.text.n > 0));
	FUZZ_CHECK(c.domains != NULL);
	if (errors.count == 0)
		domains_each(c.domains, check_row, c.domains);
	domains_free(&c.domains);
	config_errors_fini(&errors);
	buf_fini(&path);
	buf_fini(&domains);
	return 0;
}

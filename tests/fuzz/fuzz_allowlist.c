/*
 * The allowlist and a recipient file, with a NUL between them.
 *
 * - Every row is found under its own name, and accepts postmaster.
 * - Look-ups with anything at all stay inside.
 */
#include "config/allow/allowlist.h"
#include "config/allow/domains.h"

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
	struct buf path = { 0 };
	const struct allowlist_defaults defaults = {
		.tls = TLS_LEVEL_MAY,
		.lifetime_ms = 1000,
		.port = 25,
		.tables = SPAN_LIT("/nonexistent"),
	};
	struct domains *d;

	if (list.n > 0 && memmem(list.p, list.n, "/", 1) != NULL)
		return 0; /* other files are not this target's */
	fuzz_file("domains", list);
	fuzz_file("file", in);
	buf_addf(&path, "%s/domains", fuzz_directory());
	d = allowlist_read(span_str(buf_cstr(&path)), &defaults, &errors);
	FUZZ_CHECK((errors.count > 0) == (errors.text.n > 0));
	FUZZ_CHECK(d != NULL);
	if (errors.count == 0)
		domains_each(d, check_row, d);
	domains_free(&d);
	config_errors_fini(&errors);
	buf_fini(&path);
	return 0;
}

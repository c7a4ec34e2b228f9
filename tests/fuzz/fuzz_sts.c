/*
 * MTA-STS: the TXT record, or (after a first byte that is odd) the policy.
 *
 * - What parses keeps to its limits, whatever else it says.
 * - A policy that parses is not changed by an unknown key behind it.
 * - A host that matches has a pattern that ends as it does.
 */
#include "daemon/sts/policy.h"

#include "tests/fuzz/fuzz.h"

static void check_record(struct span in)
{
	struct span id;

	if (!sts_record_parse(in, &id))
		return;
	FUZZ_CHECK(id.n > 0 && id.n <= STS_ID_MAX);
	FUZZ_CHECK(id.p >= in.p && id.p + id.n <= in.p + in.n);
}

static void check_policy(struct span in, struct span host)
{
	struct arena a = { 0 };
	struct buf longer = { 0 };
	struct sts_policy p, again;

	if (sts_policy_parse(in, &a, &p)) {
		FUZZ_CHECK(p.max_age_s >= 0 && p.max_age_s <= STS_MAX_AGE_S);
		FUZZ_CHECK(p.mx_count <= STS_MX_MAX);
		FUZZ_CHECK(p.mx_count > 0 || p.mode == STS_NONE);
		for (size_t i = 0; i < p.mx_count; i++)
			FUZZ_CHECK(p.mx[i].n > 0 &&
				   memchr(p.mx[i].p, '\n', p.mx[i].n) == NULL);
		buf_add(&longer, in);
		buf_adds(&longer, "\nunknown: key\n");
		if (longer.n <= STS_POLICY_MAX) {
			FUZZ_CHECK(sts_policy_parse(buf_span(&longer), &a,
						    &again));
			FUZZ_CHECK(again.mode == p.mode &&
				   again.mx_count == p.mx_count);
		}
		if (sts_policy_has(&p, host))
			FUZZ_CHECK(host.n > 0 && p.mx_count > 0);
	}
	buf_fini(&longer);
	arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);

	if (fuzz_byte(&in) % 2 == 0) {
		check_record(in);
	} else {
		struct span host = fuzz_text(&in);

		check_policy(in, host);
	}
	return 0;
}

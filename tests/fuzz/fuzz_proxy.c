/*
 * The PROXY header, versions 1 and 2.
 *
 * - A header cut short is MORE, never done and never bad.
 * - What stands behind it is not looked at.
 */
#include "common/net/proxy.h"

#include "tests/fuzz/fuzz.h"

static void check_prefixes(struct span header, enum proxy_state want,
			   const struct net_addr *client)
{
	struct net_addr again = { 0 };
	struct span in = header;

	FUZZ_CHECK(proxy_parse(&in, &again) == want && in.n == 0);
	if (want == PROXY_DONE)
		FUZZ_CHECK(net_endpoint_eq(client, &again));
	for (size_t n = 0; n < header.n; n++) {
		in = (struct span){ header.p, n };
		FUZZ_CHECK(proxy_parse(&in, &again) == PROXY_MORE);
		FUZZ_CHECK(in.n == n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), rest = in;
	struct net_addr client = { 0 };
	enum proxy_state state = proxy_parse(&rest, &client);
	struct buf text = { 0 };

	if (state == PROXY_DONE) {
		FUZZ_CHECK(client.family == AF_INET ||
			   client.family == AF_INET6);
		net_endpoint_add(&text, &client);
		FUZZ_CHECK(text.n > 0);
	}
	if (state == PROXY_DONE || state == PROXY_LOCAL) {
		FUZZ_CHECK(rest.n < in.n);
		FUZZ_CHECK(in.n - rest.n <= PROXY_HEADER_MAX);
		check_prefixes((struct span){ in.p, in.n - rest.n }, state,
			       &client);
	}
	/* an endless header must not be waited for */
	FUZZ_CHECK(state != PROXY_MORE || in.n < PROXY_HEADER_MAX);
	buf_fini(&text);
	return 0;
}

/*
 * What is seen of a client's TLS records before we have said anything.
 *
 * - The same comes out however the bytes arrive, and once no stays no.
 * - A ClientHello that says it is too large is not passed on.
 * - What answers a ServerHello does so whatever follows it.
 */
#include "common/net/hello.h"

#include "tests/fuzz/fuzz.h"

static bool in_pieces(struct span in, size_t size, bool *is_partial)
{
	struct hello_watch w = { 0 };

	while (in.n > 0) {
		size_t n = size < in.n ? size : in.n;

		if (!hello_watch(&w, span_of(in.p, n)))
			return false;
		in = span_skip(in, n);
	}
	*is_partial = hello_is_partial(&w);
	return true;
}

static void check_answer(struct span in)
{
	bool was = false;

	for (size_t n = 0; n <= in.n && n < 64; n++) {
		const bool is = hello_is_answered(span_of(in.p, n));

		FUZZ_CHECK(is >= was);
		was = is;
	}
	FUZZ_CHECK(hello_is_answered(in) >= was);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	bool partial[3] = { false };
	bool whole = in_pieces(in, size + 1, &partial[0]);

	FUZZ_CHECK(in_pieces(in, 1, &partial[1]) == whole);
	FUZZ_CHECK(in_pieces(in, 3, &partial[2]) == whole);
	check_answer(in);
	FUZZ_CHECK(partial[0] == partial[1] && partial[0] == partial[2]);
	if (size >= 9 && data[0] == 22 && (data[3] << 8 | data[4]) >= 4 &&
	    data[5] == 1)
		FUZZ_CHECK(whole <= ((data[6] << 16 | data[7] << 8 | data[8]) <=
				     HELLO_MAX));
	return 0;
}

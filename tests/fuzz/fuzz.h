/* What every fuzz target shares.  A target is LLVMFuzzerTestOneInput; it
 * checks what must hold for any input at all. */
#ifndef MX_TESTS_FUZZ_H
#define MX_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(cond)                                                       \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(stderr, "%s:%d: does not hold: %s\n",          \
				__FILE__, __LINE__, #cond);                    \
			abort();                                               \
		}                                                              \
	} while (0)

/* One byte off the front as a small number; 0 when there is none. */
static inline unsigned fuzz_byte(struct span *in)
{
	unsigned value = in->n > 0 ? (unsigned char)in->p[0] : 0;

	*in = span_skip(*in, 1);
	return value;
}

/* What stands before the next NUL: text that can be edited by hand. */
static inline struct span fuzz_text(struct span *in)
{
	return span_cut(in, '\0');
}

#endif

/*
 * The file of what was listed last, and the last options of a domain.  Both
 * are ours, but a disk is what it is.
 *
 * - No file crashes; one that is taken can be compared with itself, and
 *   nothing has changed.
 * - No text of options crashes, whatever is left out of it.
 */
#include "config/allow/compare.h"
#include "config/allow/listed.h"
#include "daemon/route/last.h"

#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz.h"

static void check_file(struct span in)
{
	struct domains *d;
	struct buf path = { 0 };

	fuzz_file("listed", in);
	buf_addf(&path, "%s/listed", fuzz_directory());
	d = listed_read(buf_cstr(&path));
	if (d != NULL) {
		struct change same;

		change_find(&same, d, d);
		change_end(&same);
		FUZZ_CHECK(same.gone.count == 0 && same.come.count == 0);
		change_fini(&same);
		domains_free(&d);
	}
	buf_fini(&path);
}

static void check_options(struct span in)
{
	struct lookup_options opt = { 0 };
	struct arena a = { 0 };

	last_apply(&opt, in, &a);
	FUZZ_CHECK(opt.hop_count == 0 || opt.hops != NULL);
	arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);

	if (fuzz_byte(&in) % 2 == 0)
		check_file(in);
	else
		check_options(in);
	return 0;
}

/*
 * A spool whose file is damaged, as by a disk or a careless copy.  The first
 * two bytes say how much of the file is left (65535: all); then each three say
 * which word of it, counted through the file, holds which byte.
 */
#include <fcntl.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/world.h"

enum { CHANGES_MAX = 64 };

static size_t two_bytes(struct span *in)
{
	size_t high = fuzz_byte(in);

	return high << 8 | fuzz_byte(in);
}

static void damage(struct span in)
{
	size_t bytes = world_data_bytes(), left = two_bytes(&in);
	int fd = open(world_data_path(), O_WRONLY);

	FUZZ_CHECK(fd >= 0);
	for (int i = 0; i < CHANGES_MAX && in.n >= 3; i++) {
		/* the first bytes of pages are the ones that matter */
		size_t place = two_bytes(&in);
		off_t at = (off_t)((place >> 6) * 4096 + (place & 63));
		char c = (char)fuzz_byte(&in);

		if ((size_t)at < bytes)
			FUZZ_CHECK(pwrite(fd, &c, 1, at) == 1);
	}
	if (left < 65535)
		FUZZ_CHECK(ftruncate(fd, (off_t)(left * bytes / 65535)) == 0);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	world_restore();
	if (size >= 2)
		damage(span_of(data, size));
	world_run_reader(size < 2);
	world_run_daemon();
	return 0;
}

#include "tests/fuzz/files.h"

#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "tests/fuzz/fuzz.h"

static char directory[256];

static int remove_one(const char *path, const struct stat *st, int kind,
		      struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void remove_all(void)
{
	nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_directory(void)
{
	const char *parent = getenv("TMPDIR"); /* see run.sh, replay.sh */

	if (directory[0] != '\0')
		return directory;
	snprintf(directory, sizeof(directory), "%s/fuzz-XXXXXX",
		 parent != NULL ? parent : "/tmp");
	FUZZ_CHECK(mkdtemp(directory) != NULL);
	atexit(remove_all);
	return directory;
}

void fuzz_file(const char *name, struct span content)
{
	struct buf path = { 0 };
	int fd;

	buf_addf(&path, "%s/%s", fuzz_directory(), name);
	fd = open(buf_cstr(&path), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(content.n == 0 ||
		   write(fd, content.p, content.n) == (ssize_t)content.n);
	close(fd);
	buf_fini(&path);
}

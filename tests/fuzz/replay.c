/*
 * Run a fuzz target over files, without libFuzzer: seeds and regressions as a
 * part of every check, with any compiler.  Each file is run whole and cut
 * short at every length (up to a limit): what is cut is what networks do.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "common/base/alloc.h"
#include "tests/fuzz/fuzz.h"

enum { CUTS_MAX = 600 };

static size_t files;

/* A copy of exactly that size, so that reading behind it is seen. */
static void run(struct span content)
{
	char *copy = mx_alloc(content.n);

	if (content.n > 0)
		memcpy(copy, content.p, content.n);
	LLVMFuzzerTestOneInput((const uint8_t *)copy, content.n);
	free(copy);
}

static void run_file(const char *path)
{
	struct buf content = { 0 };
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	while ((n = fread(buf_reserve(&content, 65536), 1, 65536, f)) > 0)
		content.n += n;
	fclose(f);
	fprintf(stderr, "%s\n", path); /* the last one named is to blame */
	for (n = 0; n < content.n && n < CUTS_MAX; n++)
		run((struct span){ content.p, n });
	run(buf_span(&content));
	buf_fini(&content);
	files++;
}

static void run_directory(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		struct buf file = { 0 };

		buf_addf(&file, "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			run_file(buf_cstr(&file));
		buf_fini(&file);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
}

int main(int argc, char **argv)
{
	struct stat st;

	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &st) != 0)
			continue; /* no regressions yet */
		if (S_ISDIR(st.st_mode))
			run_directory(argv[i]);
		else
			run_file(argv[i]);
	}
	printf("%zu\n", files);
	return files == 0;
}

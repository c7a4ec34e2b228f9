#include "tests/support/folder.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void folder_make(struct folder *f)
{
	snprintf(f->path, sizeof(f->path), "/tmp/mx20-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(f->path));
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void folder_remove(struct folder *f)
{
	nftw(f->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *folder_path(struct folder *f, const char *name)
{
	snprintf(f->name, sizeof(f->name), "%s/%s", f->path, name);
	return f->name;
}

const char *folder_write(struct folder *f, const char *name, const char *text)
{
	const char *path = folder_path(f, name);
	FILE *out;

	for (char *p = f->name + strlen(f->path) + 1;
	     (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	out = fopen(path, "we");
	cr_assert_not_null(out, "%s", path);
	cr_assert(fputs(text, out) >= 0);
	cr_assert_eq(fclose(out), 0);
	return path;
}

void folder_strip(const struct folder *f, struct buf *text)
{
	size_t n = strlen(f->path) + 1;
	char *at = text->n > 0 ? strstr(buf_cstr(text), f->path) : NULL;

	while (at != NULL) {
		size_t rest = text->n - (size_t)(at - text->p) - n;

		memmove(at, at + n, rest + 1);
		text->n -= n;
		at = strstr(text->p, f->path);
	}
}

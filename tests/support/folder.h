/* A temporary folder for the files of one test. */
#ifndef MX_TESTS_FOLDER_H
#define MX_TESTS_FOLDER_H

#include "common/base/buf.h"

struct folder {
	char path[64];
	char name[4096]; /* of the file last written or asked for */
};

void folder_make(struct folder *f);
void folder_remove(struct folder *f); /* with all that is in it */

/* Write a file, making the folders of its name; returns its whole path. */
const char *folder_write(struct folder *f, const char *name, const char *text);
const char *folder_path(struct folder *f, const char *name);

/* Drop "path/" of the folder wherever it stands in text. */
void folder_strip(const struct folder *f, struct buf *text);

#endif

/* A directory in memory for targets that read files. */
#ifndef MX_TESTS_FUZZ_FILES_H
#define MX_TESTS_FUZZ_FILES_H

#include "common/base/span.h"

/* Its path; made at the first call, removed at the end of the process. */
const char *fuzz_directory(void);

/* Write DIRECTORY/name. */
void fuzz_file(const char *name, struct span content);

#endif

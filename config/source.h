/* The text of mx20.conf, before and after libconfig has seen it. */
#ifndef MX_CONFIG_SOURCE_H
#define MX_CONFIG_SOURCE_H

#include "common/base/span.h"

struct config_errors;

/*
 * May libconfig read the file, with all that it includes?  It ends the process
 * when a read fails, as that of a folder does, and takes minutes for a line of
 * many megabytes; so these are faults, told to errors.  What is merely not
 * there is left to it.  path ends with NUL.
 */
bool source_is_fit(struct span path, struct config_errors *errors);

/*
 * A fault with what libconfig says of line number of file, and with what there
 * is to add: a character that nobody sees, how the key is written, the rule, or
 * why an included file cannot be opened.  file ends with NUL; main is the file
 * whose folder names in @include start at.
 */
void source_explain(struct span main, struct span file, unsigned number,
		    const char *said, struct config_errors *errors);

/* A doubt if the file ends in mid-line: most editors write a line end, and what
 * was cut in mid-file still parses now and then.  path ends with NUL. */
void source_doubt_end(struct span path, struct config_errors *errors);

#endif

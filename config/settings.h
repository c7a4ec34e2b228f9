/* mx20.conf read into struct config: the settings, not what they name. */
#ifndef MX_CONFIG_SETTINGS_H
#define MX_CONFIG_SETTINGS_H

#include "common/base/arena.h"
#include "config/config.h"

/* The file as it was read: it knows in which line each key stands. */
struct settings;

/*
 * Fill c from the file c->path (NUL behind it); text and arrays live in arena,
 * as does the result.  Every fault goes to errors.  What could be read is
 * filled in even then, so that the files it names are checked in one run.
 */
struct settings *settings_read(struct config *c, struct arena *arena,
			       struct config_errors *errors);
void settings_close(struct settings *s);

/* Was there anything to fill in: does the file have the right syntax? */
bool settings_were_read(const struct settings *s);

/* A fault found later, at the line of the key that caused it. */
void settings_fail(struct settings *s, const char *key, struct span why);

/* Something worth knowing, likewise, into the doubts of e. */
void settings_doubt(struct settings *s, struct config_errors *e,
		    const char *key, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Is path, the value of key, a file to be read?  A fault if it is not; false
 * without one when it is empty. */
bool settings_can_read(struct settings *s, const char *key, struct span path);

#endif

/* mx20.conf read into struct config: the settings, not what they name. */
#ifndef MX_CONFIG_SETTINGS_H
#define MX_CONFIG_SETTINGS_H

#include "common/base/arena.h"
#include "config/config.h"

/*
 * Fill c from the file at path (NUL behind it); text and arrays live in arena.
 * Every fault goes to errors.  What could be read is filled in even then, so
 * that the files it names can be checked in the same run.
 */
void settings_read(struct config *c, struct arena *arena, struct span path,
		   struct config_errors *errors);

#endif

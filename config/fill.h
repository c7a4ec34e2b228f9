/* From libconfig's tree into a struct, by a table of options. */
#ifndef MX_CONFIG_FILL_H
#define MX_CONFIG_FILL_H

#include <libconfig.h>

#include "common/base/arena.h"
#include "config/options.h"

struct fill {
	struct arena *arena; /* text and arrays live here */
	struct span path;    /* the main file, as the user named it */
	struct config_errors *errors;
	bool is_default;     /* what is taken now stands in no file */
};

struct option_table {
	const struct option *options;
	size_t count;
	void *base; /* the struct that the fields are offsets into */
};

/*
 * Fill the table's struct from group, whose own name is prefix ("" for the
 * root): faults in the order of the file, then defaults for what the file
 * does not say.
 */
void fill_group(struct fill *f, const struct option_table *t,
		const config_setting_t *group, const char *prefix);

/* Where st stands; NULL: the file as a whole, line 0. */
struct span fill_place(struct fill *f, const config_setting_t *st,
		       unsigned *line);

/* A fault at st's line; NULL: of the file as a whole. */
void fill_fail(struct fill *f, const config_setting_t *st, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* file (as libconfig names it) as the user would; NULL: the main file. */
struct span fill_file(struct fill *f, const char *file);

#endif

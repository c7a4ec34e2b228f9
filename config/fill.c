#include "config/fill.h"

#include <stdio.h>

#include "common/base/assert.h"
#include "config/value/error.h"
#include "config/value/text.h"
#include "config/value/value.h"

static struct span join(struct fill *f, struct span dir, struct span name)
{
	struct buf full = { 0 };
	struct span copy;

	if (name.p[0] != '/')
		buf_add(&full, dir);
	buf_add(&full, name);
	copy = arena_span(f->arena, buf_span(&full));
	buf_fini(&full);
	return copy;
}

/* An included file is named as in its @include: beside the main one. */
struct span fill_file(struct fill *f, const char *file)
{
	if (file == NULL || span_eq(span_str(file), f->path))
		return f->path;
	return join(f, value_dir(f->path), span_str(file));
}

struct span fill_path(struct fill *f, const config_setting_t *st,
		      struct span text)
{
	if (text.n == 0)
		return arena_span(f->arena, text);
	return join(f, value_dir(fill_file(f, config_setting_source_file(st))),
		    text);
}

struct span fill_place(struct fill *f, const config_setting_t *st,
		       unsigned *line)
{
	*line = st != NULL ? config_setting_source_line(st) : 0;
	return st != NULL ? fill_file(f, config_setting_source_file(st))
			  : f->path;
}

void fill_fail(struct fill *f, const config_setting_t *st, const char *fmt, ...)
{
	unsigned line;
	struct span file = fill_place(f, st, &line);
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	config_fail(f->errors, file, line, "%s", text);
}

/* ---- One option ---- */

static void take_one(struct fill *f, const struct option *o,
		     const config_setting_t *st, void *out)
{
	struct span value = setting_text(st);
	struct buf text = { 0 };

	if (value.p != NULL && text_hides(value, value, &text)) {
		fill_fail(f, st, "%s: " TEXT_HIDES " of the text", o->path,
			  buf_cstr(&text));
	} else if (!kinds[o->kind].take(f, o, st, out)) {
		kind_accepts(&text, o);
		fill_fail(f, st, "%s: expected %s", o->path, buf_cstr(&text));
	}
	buf_fini(&text);
}

static bool is_many(const config_setting_t *st)
{
	return config_setting_is_array(st) || config_setting_is_list(st);
}

/* An array or list, or where the kind allows it one text, "" being none. */
static void take_many(struct fill *f, const struct option *o,
		      const config_setting_t *st, char *base)
{
	size_t size = kinds[o->kind].size, count = 1;
	char *items;

	if (is_many(st))
		count = (size_t)config_setting_length(st);
	else if (setting_text(st).p != NULL && setting_text(st).n == 0)
		count = 0;
	items = arena_alloc_array(f->arena, count, size);
	for (size_t i = 0; i < count; i++) {
		const config_setting_t *one =
			is_many(st) ? config_setting_get_elem(st, (unsigned)i)
				    : st;
		take_one(f, o, one, items + i * size);
	}
	memcpy(base + o->field, &items, sizeof(items));
	memcpy(base + o->count, &count, sizeof(count));
}

static void take(struct fill *f, const struct option *o,
		 const config_setting_t *st, char *base)
{
	const struct kind *k = &kinds[o->kind];
	const char *dot = strrchr(o->path, '.');

	if (k->shape == ONE)
		take_one(f, o, st, base + o->field);
	else if (k->shape == MANY && !is_many(st))
		fill_fail(f, st, "%s: expected a list such as %s = %s;",
			  o->path, dot != NULL ? dot + 1 : o->path, k->example);
	else
		take_many(f, o, st, base);
}

/* A default goes the way of a value from the file. */
static void take_default(struct fill *f, const struct option *o, char *base)
{
	char line[256];
	config_t cf;

	if (o->dflt == NULL) {
		fill_fail(f, NULL, "%s: not set; add  %s = %s;  (%s)", o->path,
			  o->path, kinds[o->kind].example, o->help);
		return;
	}
	config_init(&cf);
	snprintf(line, sizeof(line), "v = %s;", o->dflt);
	MX_ASSERT(config_read_string(&cf, line) == CONFIG_TRUE);
	f->is_default = true;
	take(f, o, config_lookup(&cf, "v"), base);
	f->is_default = false;
	config_destroy(&cf);
}

/* ---- A table of options against what the file says ---- */

/* Append the keys of a group; "" is the root.  False: there is none such. */
static bool group_keys(const struct option_table *t, const char *group,
		       struct buf *keys)
{
	size_t n = strlen(group);
	struct span last = { "", 0 };

	for (size_t i = 0; i < t->count; i++) {
		struct span path = span_str(t->options[i].path);

		if (n > 0 &&
		    (!span_starts(path, span_str(group)) || path.p[n] != '.'))
			continue;
		path = span_skip(path, n > 0 ? n + 1 : 0);
		struct span key = span_cut(&path, '.');
		if (span_eq(key, last)) /* members of a group stand together */
			continue;
		buf_addc(keys, ' ');
		buf_add(keys, key);
		last = key;
	}
	return keys->n > 0;
}

static const struct option *find(const struct option_table *t, const char *path)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->options[i].path, path) == 0)
			return &t->options[i];
	return NULL;
}

static void walk(struct fill *f, const struct option_table *t,
		 const config_setting_t *group, const char *prefix, bool *seen);

static void walk_one(struct fill *f, const struct option_table *t,
		     const config_setting_t *st, const char *path,
		     const char *prefix, bool *seen)
{
	const struct option *o = find(t, path);
	struct buf keys = { 0 };

	if (o != NULL) {
		seen[o - t->options] = true;
		take(f, o, st, t->base);
	} else if (!group_keys(t, path, &keys)) {
		group_keys(t, prefix, &keys);
		fill_fail(f, st, "%s: unknown key; known here:%s", path,
			  buf_cstr(&keys));
	} else if (!config_setting_is_group(st)) {
		fill_fail(f, st, "%s: expected a group: %s = { ... };", path,
			  path);
	} else {
		walk(f, t, st, path, seen);
	}
	buf_fini(&keys);
}

static void walk(struct fill *f, const struct option_table *t,
		 const config_setting_t *group, const char *prefix, bool *seen)
{
	struct buf path = { 0 };

	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *st =
			config_setting_get_elem(group, (unsigned)i);

		buf_reset(&path);
		buf_addf(&path, "%s%s%s", prefix, *prefix != '\0' ? "." : "",
			 config_setting_name(st));
		walk_one(f, t, st, buf_cstr(&path), prefix, seen);
	}
	buf_fini(&path);
}

void fill_group(struct fill *f, const struct option_table *t,
		const config_setting_t *group, const char *prefix)
{
	bool *seen = arena_alloc_array(f->arena, t->count, sizeof(*seen));

	walk(f, t, group, prefix, seen);
	for (size_t i = 0; i < t->count; i++)
		if (!seen[i])
			take_default(f, &t->options[i], t->base);
}

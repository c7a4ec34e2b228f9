#include "config/fill.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Text relative to the file that st stands in. */
static struct span path_of(struct fill *f, const config_setting_t *st,
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

/* ---- One value, as text ---- */

static const struct span no_text = { NULL, 0 };

static struct span text_of(const config_setting_t *st)
{
	const char *text = config_setting_get_string(st);

	return text != NULL ? span_str(text) : no_text;
}

/*
 * libconfig 1.5 cuts an integer without its L to 32 bits and says nothing:
 * look at the line itself.
 */
static bool was_cut(struct fill *f, const config_setting_t *st)
{
	const char *file = config_setting_source_file(st);
	/* arena text ends with NUL */
	FILE *in = f->is_default ? NULL : fopen(fill_file(f, file).p, "re");
	char line[1024] = "";
	unsigned at = 0;
	bool cut = false;

	if (in == NULL)
		return false;
	while (at < config_setting_source_line(st) &&
	       fgets(line, sizeof(line), in) != NULL)
		at++;
	fclose(in);
	for (const char *p = line; (p = strchr(p, '=')) != NULL; p++) {
		char *end;
		long long v = strtoll(p + 1, &end, 10);

		if ((v > INT_MAX || v < INT_MIN) && *end != 'L')
			cut = true;
	}
	return cut;
}

static bool whole_number(struct fill *f, const config_setting_t *st,
			 int64_t *out)
{
	int type = config_setting_type(st);

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		return false;
	*out = config_setting_get_int64(st);
	return type == CONFIG_TYPE_INT64 || !was_cut(f, st);
}

/* As libconfig has read it; nothing that is finer counts. */
static bool fraction(const config_setting_t *st, char digits[24])
{
	if (config_setting_type(st) != CONFIG_TYPE_FLOAT)
		return false;
	snprintf(digits, 24, "%.6f", config_setting_get_float(st));
	return true;
}

/* The value as it would stand in quotes: whoever leaves them out where a unit
 * belongs means the same.  NULL inside: it is none of this form. */
static struct span value_of(struct fill *f, const struct option *o,
			    const config_setting_t *st, char digits[24])
{
	int form = kinds[o->kind].form;
	struct span text = text_of(st);
	int64_t v;

	if (form == TRUTH)
		return config_setting_type(st) != CONFIG_TYPE_BOOL ? no_text
		       : config_setting_get_bool(st) == CONFIG_TRUE
			       ? SPAN_LIT("true")
			       : SPAN_LIT("false");
	if (form == FRACTION && fraction(st, digits))
		return span_str(digits);
	if ((form == NUMBER || form == FRACTION || form == QUANTITY) &&
	    whole_number(f, st, &v)) {
		snprintf(digits, 24, "%lld", (long long)v);
		return span_str(digits);
	}
	if (form == PATH || (form == PLACE && !value_is_endpoint(text)))
		return text.n == 0 ? text : path_of(f, st, text);
	return form == NUMBER || form == FRACTION ? no_text : text;
}

/* ---- One option ---- */

static void *arena_array(void *arg, size_t count, size_t size)
{
	return arena_alloc_array(arg, count, size);
}

static bool take_listen(struct fill *f, const struct option *o,
			const config_setting_t *st, struct config_listen *l)
{
	const struct option_table t = { listen_options, listen_option_count,
					l };

	if (!config_setting_is_group(st))
		return false;
	fill_group(f, &t, st, o->path);
	if (l->proxy && l->proxy_from_count == 0)
		fill_fail(f, st,
			  "listen.networks: nobody could connect; say where "
			  "the proxies are: networks = [ \"10.0.0.0/8\" ];");
	return true;
}

static bool take_dnsbl(struct fill *f, const struct option *o,
		       const config_setting_t *st, struct config_dnsbl *d)
{
	const struct option_table t = { dnsbl_options, dnsbl_option_count, d };

	if (!config_setting_is_group(st))
		return false;
	fill_group(f, &t, st, o->path);
	return true;
}

static bool take_value(struct fill *f, const struct option *o,
		       const config_setting_t *st, struct span value, void *out)
{
	const struct keeper k = { arena_array, f->arena };

	if (o->kind == K_DNSBL)
		return take_dnsbl(f, o, st, out);
	if (kinds[o->kind].form == GROUP)
		return take_listen(f, o, st, out);
	return value.p != NULL && kind_take(o, value, &k, out);
}

static void take_one(struct fill *f, const struct option *o,
		     const config_setting_t *st, void *out)
{
	char digits[24];
	struct span text = text_of(st), value = value_of(f, o, st, digits);
	struct buf why = { 0 };

	if (text.p != NULL && text_hides(text, text, &why)) {
		fill_fail(f, st, "%s: " TEXT_HIDES " of the text", o->path,
			  buf_cstr(&why));
	} else if (kind_lacks_unit(o, value, &why)) {
		fill_fail(f, st, "%s: %s", o->path, buf_cstr(&why));
	} else if (!take_value(f, o, st, value, out)) {
		kind_accepts(&why, o, kinds[o->kind].example);
		fill_fail(f, st, "%s: expected %s", o->path, buf_cstr(&why));
	}
	buf_fini(&why);
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
	else if (text_of(st).p != NULL && text_of(st).n == 0)
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

/* What must be set, at the root or in a row of a list, and is not. */
static void fail_unset(struct fill *f, const struct option *o,
		       const config_setting_t *group)
{
	bool row = !config_setting_is_root(group);

	fill_fail(f, row ? group : NULL, "%s: not set; add  %s = %s;  (%s)",
		  o->path, row ? strrchr(o->path, '.') + 1 : o->path,
		  kinds[o->kind].example, o->help);
}

/* A default goes the way of a value from the file. */
static void take_default(struct fill *f, const struct option *o, char *base)
{
	char line[256];
	config_t cf;

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
		if (!seen[i] && t->options[i].dflt == NULL)
			fail_unset(f, &t->options[i], group);
		else if (!seen[i])
			take_default(f, &t->options[i], t->base);
}

#include "config/source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/assert.h"
#include "config/allow/lines.h"
#include "config/value/error.h"
#include "config/value/text.h"
#include "config/value/value.h"

/* Settings with every key, and comments to all of them, are 20 KiB.  libconfig
 * has a depth of its own, and says so. */
enum { SOURCE_MOST = 1 << 20, DEPTH_MOST = 10, SHOWN_MOST = 80 };

/* ---- @include ---- */

/* The name in  @include "name"  at the start of a line. */
static bool included(struct span line, struct span *name)
{
	static const struct span word = { "@include", 8 };
	size_t end;

	line = span_trim(line);
	if (!span_starts(line, word))
		return false;
	line = span_trim(span_skip(line, word.n));
	if (line.n == 0 || line.p[0] != '"')
		return false;
	line = span_skip(line, 1);
	end = span_find(line, '"');
	*name = span_of(line.p, end);
	return end < line.n;
}

/* As libconfig has it: always beside the main file, whoever includes it. */
static void place(struct span main, struct span name, struct buf *path)
{
	struct span dir = value_dir(main);

	buf_add(path, dir.n > 0 ? dir : SPAN_LIT("./"));
	buf_add(path, name);
}

struct walk {
	struct span main;
	struct config_errors *errors;
	unsigned depth;
};

static bool walk_file(struct walk *w, struct span path);

/* A file that is not there may be named in a comment. */
static bool walk_include(struct walk *w, struct span from, unsigned number,
			 struct span name)
{
	struct buf path = { 0 };
	struct stat st;
	bool ok = true;

	place(w->main, name, &path);
	if (w->depth < DEPTH_MOST && stat(buf_cstr(&path), &st) == 0) {
		if (S_ISREG(st.st_mode))
			ok = walk_file(w, buf_span(&path));
		else
			config_fail(w->errors, from, number, "%s: %s",
				    buf_cstr(&path),
				    S_ISDIR(st.st_mode) ? strerror(EISDIR)
							: "not a file");
		ok = ok && S_ISREG(st.st_mode);
	}
	buf_fini(&path);
	return ok;
}

static bool walk_lines(struct walk *w, struct lines *l, struct span path)
{
	struct span line, name;

	while (lines_next(l, &line))
		if (included(line, &name) &&
		    !walk_include(w, path, l->number, name))
			return false;
	if (l->error != 0)
		config_fail(w->errors, path, l->number, "cannot be read: %s",
			    lines_strerror(l));
	return l->error == 0;
}

/* The buffer has what buf_cstr has put behind the path: NUL. */
static bool walk_file(struct walk *w, struct span path)
{
	struct lines l;
	struct stat st;
	bool ok = true;

	/* a pipe is read once, and what is not there is libconfig's to say */
	if (stat(path.p, &st) != 0 || !S_ISREG(st.st_mode))
		return true;
	if (st.st_size > SOURCE_MOST) {
		config_fail(w->errors, path, 0,
			    "is larger than 1M: these are no settings");
		return false;
	}
	w->depth++;
	lines_init(&l);
	if (lines_open(&l, path.p)) {
		ok = walk_lines(w, &l, path);
		lines_close(&l);
	}
	lines_fini(&l);
	w->depth--;
	return ok;
}

bool source_is_fit(struct span path, struct config_errors *errors)
{
	struct walk w = { .main = path, .errors = errors };

	return walk_file(&w, path);
}

/* ---- What libconfig says, and why ---- */

/* A line that may have a password in it is not shown. */
static struct span shown(struct span line)
{
	static const char *const words[] = { "password", "postgresql" };

	for (size_t i = 0; i < COUNT(words); i++)
		if (memmem(line.p, line.n, words[i], strlen(words[i])) != NULL)
			return SPAN_LIT("...");
	return line;
}

struct fault {
	struct span main, file, line;
	bool is_marked;
	const char *said;
	struct buf *out;
};

/* It is stepped over in front of the main file alone. */
static bool explain_mark(const struct fault *f)
{
	if (f->is_marked)
		buf_adds(f->out, ": no byte order mark (UTF-8 with BOM) may "
				 "stand here");
	return f->is_marked;
}

/* Is there anything about that line that its writer cannot see? */
static bool explain_hidden(const struct fault *f)
{
	size_t before = f->out->n;

	buf_adds(f->out, ": the line holds ");
	if (text_hides(f->line, f->line, f->out))
		return true;
	f->out->n = before;
	return false;
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || c == '_' || c == '.';
}

/* As the manual and our own messages name a key, and as many programs have it
 * in their files. */
static bool explain_path(const struct fault *f)
{
	struct span line = span_trim(f->line);
	size_t dot = span_find(line, '.'), end = 0;

	while (end < line.n && is_name(line.p[end]))
		end++;
	if (dot == 0 || dot + 1 >= end)
		return false;
	buf_addf(f->out, ": %.*s is written %.*s = { %.*s = ...; };", (int)end,
		 line.p, (int)dot, line.p, (int)(end - dot - 1),
		 line.p + dot + 1);
	return true;
}

static bool explain_include(const struct fault *f)
{
	struct buf path = { 0 };
	struct span name;
	struct stat st;

	if (strcmp(f->said, "cannot open include file") != 0 ||
	    !included(f->line, &name))
		return false;
	place(f->main, name, &path);
	errno = 0;
	if (name.n > 0 && name.p[0] == '/')
		buf_addf(f->out,
			 ": %.*s: a name starts at the folder of this host's "
			 "mx20.conf",
			 SPAN_ARG(name));
	else if (stat(buf_cstr(&path), &st) != 0)
		buf_addf(f->out, ": %s: %s", buf_cstr(&path), strerror(errno));
	buf_fini(&path);
	return true;
}

/* The rule, where libconfig has none to tell; and the line. */
static bool explain_rule(const struct fault *f)
{
	/* clang-format off */
	static const struct { const char *said, *rule; } rules[] = {
		{ "duplicate setting name",
		  "each key, and each group, stands once" },
		{ "mismatched element type in array",
		  "between [ and ] all are text, or all numbers" },
		{ "syntax error",
		  "text stands in double quotes, a group between { and }; "
		  "here, or in the line before" },
	};
	/* clang-format on */
	struct span line = shown(span_trim(f->line));

	for (size_t i = 0; i < COUNT(rules); i++)
		if (strcmp(rules[i].said, f->said) == 0)
			buf_addf(f->out, ": %s", rules[i].rule);
	if (line.n > 0)
		buf_addf(f->out, ": %.*s%s",
			 (int)(line.n < SHOWN_MOST ? line.n : SHOWN_MOST),
			 line.p, line.n > SHOWN_MOST ? "..." : "");
	return true;
}

/* False: there is no such line. */
static bool seek_line(struct lines *l, unsigned number, struct span *line)
{
	while (l->number < number && lines_next(l, line))
		;
	return number > 0 && l->number == number;
}

/* That of the file and that of the line; the first who knows has spoken. */
static void explain(struct lines *l, unsigned number, struct fault *f)
{
	static bool (*const who[])(const struct fault *) = {
		explain_mark, explain_hidden, explain_path, explain_include,
		explain_rule
	};
	size_t count;

	if (!lines_count(l, &count))
		return;
	if (l->is_utf16) {
		buf_adds(f->out, ": the file " TEXT_UTF16);
		return;
	}
	if (!seek_line(l, number, &f->line)) {
		buf_adds(f->out, ": the file ends, and something is open: "
				 "\" { ( [ or /*");
		return;
	}
	f->is_marked = l->is_marked && !span_eq(f->main, f->file);
	for (size_t i = 0; i < COUNT(who) && !who[i](f); i++)
		;
}

void source_explain(struct span main, struct span file, unsigned number,
		    const char *said, struct config_errors *errors)
{
	struct buf text = { 0 };
	struct fault f = {
		.main = main, .file = file, .said = said, .out = &text
	};
	struct lines l;

	buf_adds(&text, said);
	lines_init(&l);
	if (lines_open(&l, file.p)) {
		explain(&l, number, &f);
		lines_close(&l);
	}
	lines_fini(&l);
	config_fail(errors, file, number, "%s", buf_cstr(&text));
	buf_fini(&text);
}

void source_doubt_end(struct span path, struct config_errors *errors)
{
	struct lines l;
	struct span line;
	struct stat st;

	/* a pipe was read, and is empty now */
	if (stat(path.p, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	lines_init(&l);
	if (lines_open(&l, path.p)) {
		while (lines_next(&l, &line))
			if (l.is_cut && span_trim(line).n > 0)
				config_doubt(errors, path, l.number, TEXT_CUT,
					     SPAN_ARG(shown(line)));
		lines_close(&l);
	}
	lines_fini(&l);
}

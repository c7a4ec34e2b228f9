#include "daemon/check/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/buf.h"

/* clang-format off */
static const struct {
	const char *name;
	bool is_of_host;
} checks[CHECKS] = {
	[CHECK_MX_LISTED] =         { "mx-listed", false },
	[CHECK_MX_ORDER] =          { "mx-order", false },
	[CHECK_MX_TARGET] =         { "mx-target", false },
	[CHECK_MX_NULL] =           { "mx-null", false },
	[CHECK_MX_TTL] =            { "mx-ttl", false },
	[CHECK_OWN_ADDRESS] =       { "own-address", true },
	[CHECK_OWN_PTR] =           { "own-ptr", true },
	[CHECK_OWN_TLS] =           { "own-tls", true },
	[CHECK_OWN_TLSA] =          { "own-tlsa", false },
	[CHECK_STS_POLICY] =        { "sts-policy", false },
	[CHECK_PRIMARY_ANSWERS] =   { "primary-answers", false },
	[CHECK_PRIMARY_TLS] =       { "primary-tls", false },
	[CHECK_PRIMARY_RECIPIENT] = { "primary-recipient", false },
	[CHECK_PRIMARY_TRUST] =     { "primary-trust", false },
	[CHECK_SPF] =               { "spf", false },
	[CHECK_DNSBL] =             { "dnsbl", true },
	[CHECK_RECIPIENTS] =        { "recipients", false },
	[CHECK_SPOOL_ROOM] =        { "spool-room", true },
	[CHECK_MIRROR_LAG] =        { "mirror-lag", true },
	[CHECK_MIRROR_SYNCHRONOUS] = { "mirror-synchronous", true },
	[CHECK_MIRROR_VERSION] =    { "mirror-version", true },
	[CHECK_MIRROR_NODES] =      { "mirror-nodes", true },
};
/* clang-format on */

const char *check_name(enum check_id id)
{
	return checks[id].name;
}

bool check_is_of_host(enum check_id id)
{
	return checks[id].is_of_host;
}

const char *severity_name(enum severity s)
{
	static const char *const names[] = { "ok", "info", "warning", "error" };

	return names[s];
}

/* A reply of a stranger may be long; nobody reads more. */
enum { WORDS_MAX = 2000 };

static struct span words(struct arena *a, struct span before, const char *fmt,
			 va_list ap)
{
	char text[WORDS_MAX];
	struct buf all = { 0 };
	struct span made;

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	buf_add(&all, before);
	if (before.n > 0)
		buf_addc(&all, '\n');
	buf_adds(&all, text);
	made = arena_span(a, buf_span(&all));
	buf_fini(&all);
	return made;
}

static void grow(struct findings *f)
{
	const size_t room = f->room > 0 ? 2 * f->room : 32;
	struct finding *list =
		arena_alloc_array(f->arena, room, sizeof(*list));

	if (f->count > 0)
		memcpy(list, f->list, f->count * sizeof(*list));
	f->list = list;
	f->room = room;
}

static struct finding *append(struct findings *f)
{
	if (f->count == f->room)
		grow(f);
	return &f->list[f->count++];
}

void findings_add(struct findings *f, enum check_id id, enum severity s,
		  const char *fmt, ...)
{
	struct finding *one = append(f);
	va_list ap;

	*one = (struct finding){ .id = id, .severity = s };
	va_start(ap, fmt);
	one->what = words(f->arena, SPAN_LIT(""), fmt, ap);
	va_end(ap);
}

void findings_remedy(struct findings *f, const char *fmt, ...)
{
	struct finding *last;
	va_list ap;

	MX_ASSERT(f->count > 0);
	last = &f->list[f->count - 1];
	va_start(ap, fmt);
	last->remedy = words(f->arena, last->remedy, fmt, ap);
	va_end(ap);
}

static bool has(const struct findings *f, enum check_id id)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->list[i].id == id)
			return true;
	return false;
}

void findings_ok(struct findings *f, enum check_id id, const char *fmt, ...)
{
	struct finding *one;
	va_list ap;

	if (has(f, id))
		return;
	one = append(f);
	*one = (struct finding){ .id = id, .severity = SEVERITY_OK };
	va_start(ap, fmt);
	one->what = words(f->arena, SPAN_LIT(""), fmt, ap);
	va_end(ap);
}

void findings_join(struct findings *f, const struct findings *more)
{
	for (size_t i = 0; i < more->count; i++)
		*append(f) = more->list[i];
}

static int by_table(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (int)y->severity - (int)x->severity;
}

void findings_sort(struct findings *f)
{
	if (f->count > 1)
		qsort(f->list, f->count, sizeof(*f->list), by_table);
}

enum severity findings_worst(const struct findings *f, enum check_id id)
{
	enum severity worst = SEVERITY_OK;

	for (size_t i = 0; i < f->count; i++)
		if (f->list[i].id == id && f->list[i].severity > worst)
			worst = f->list[i].severity;
	return worst;
}

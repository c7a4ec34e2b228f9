#include "daemon/sts/policy.h"

#include "common/base/assert.h"
#include "common/smtp/address.h"

static bool is_alnum(char c)
{
	c = ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

const char *sts_mode_name(enum sts_mode m)
{
	static const char *const names[] = {
		[STS_NONE] = "none",
		[STS_TESTING] = "testing",
		[STS_ENFORCE] = "enforce",
	};

	return names[m];
}

/* ---- The TXT record ---- */

static bool is_id(struct span s)
{
	if (s.n == 0 || s.n > STS_ID_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum(s.p[i]))
			return false;
	}
	return true;
}

static bool is_name_char(char c)
{
	return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* sts-ext-name: a letter or digit, then up to 31 of those, '_', '-', '.' */
static bool is_extension(struct span name, struct span value)
{
	if (name.n == 0 || name.n > 32 || !is_alnum(name.p[0]) || value.n == 0)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		if (!is_name_char(name.p[i]))
			return false;
	}
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] <= ' ' || value.p[i] > '~' || value.p[i] == '=')
			return false;
	}
	return true;
}

/* RFC 8461 section 3.1: the version first and as it stands, then fields. */
bool sts_record_parse(struct span txt, struct span *id)
{
	struct span field = span_trim(span_cut(&txt, ';'));

	if (!span_eq(field, SPAN_LIT("v=STSv1")))
		return false;
	*id = (struct span){ NULL, 0 };
	while (txt.n > 0) {
		struct span value = span_trim(span_cut(&txt, ';')), name;
		bool is_last = txt.n == 0;

		if (value.n == 0 && is_last)
			break;
		name = span_cut(&value, '=');
		if (!span_eq(name, SPAN_LIT("id"))) {
			if (!is_extension(name, value))
				return false;
			continue;
		}
		if (!is_id(value))
			return false;
		if (id->n == 0)
			*id = value;
	}
	return id->n > 0;
}

/* ---- The policy ---- */

struct parse {
	struct arena *arena;
	struct sts_policy *out;
	bool has_version, has_mode, has_max_age;
};

static bool take_version(struct parse *p, struct span value)
{
	if (p->has_version)
		return true;
	p->has_version = true;
	return span_eq(value, SPAN_LIT("STSv1"));
}

static bool take_mode(struct parse *p, struct span value)
{
	if (p->has_mode)
		return true;
	p->has_mode = true;
	for (enum sts_mode m = STS_NONE; m <= STS_ENFORCE; m++) {
		p->out->mode = m;
		if (span_eq(value, span_str(sts_mode_name(m))))
			return true;
	}
	return false;
}

static bool take_max_age(struct parse *p, struct span value)
{
	uint64_t seconds;

	if (p->has_max_age)
		return true;
	p->has_max_age = true;
	if (value.n > 10 || !span_u64(value, &seconds))
		return false;
	/* More than a year is no error, but it is not honoured either. */
	p->out->max_age_s =
		seconds > STS_MAX_AGE_S ? STS_MAX_AGE_S : (int64_t)seconds;
	return true;
}

static bool take_mx(struct parse *p, struct span value)
{
	struct span name = value;
	char *lower;

	if (span_starts(name, SPAN_LIT("*.")))
		name = span_skip(name, 2);
	if (!smtp_is_domain(name) || p->out->mx_count == STS_MX_MAX)
		return false;
	lower = arena_str(p->arena, value);
	for (size_t i = 0; i < value.n; i++)
		lower[i] = ascii_lower(lower[i]);
	p->out->mx[p->out->mx_count++] = span_of(lower, value.n);
	return true;
}

static const struct {
	const char *key;
	bool (*take)(struct parse *p, struct span value);
} keys[] = {
	{ "version", take_version },
	{ "mode", take_mode },
	{ "max_age", take_max_age },
	{ "mx", take_mx },
};

static bool take_line(struct parse *p, struct span line)
{
	struct span key;

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	line = span_trim(line);
	if (line.n == 0)
		return true;
	if (span_find(line, ':') == line.n)
		return false;
	key = span_cut(&line, ':');
	for (size_t i = 0; i < COUNT(keys); i++) {
		if (span_eq(key, span_str(keys[i].key)))
			return keys[i].take(p, span_trim(line));
	}
	return true;
}

static size_t count_lines(struct span text)
{
	size_t n = 1;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n;
}

bool sts_policy_parse(struct span text, struct arena *a, struct sts_policy *out)
{
	struct parse p = { .arena = a, .out = out };
	size_t lines = count_lines(text);

	*out = (struct sts_policy){ 0 };
	if (text.n > STS_POLICY_MAX)
		return false;
	out->mx = arena_alloc_array(a, lines < STS_MX_MAX ? lines : STS_MX_MAX,
				    sizeof(*out->mx));
	while (text.n > 0) {
		if (!take_line(&p, span_cut(&text, '\n')))
			return false;
	}
	return p.has_version && p.has_mode && p.has_max_age &&
	       (out->mode == STS_NONE || out->mx_count > 0);
}

bool sts_policy_has(const struct sts_policy *p, struct span host)
{
	for (size_t i = 0; i < p->mx_count; i++) {
		struct span pattern = p->mx[i], rest = host;

		if (span_ieq(pattern, host))
			return true;
		if (!span_starts(pattern, SPAN_LIT("*.")))
			continue;
		if (span_cut(&rest, '.').n > 0 &&
		    span_ieq(rest, span_skip(pattern, 2)))
			return true;
	}
	return false;
}

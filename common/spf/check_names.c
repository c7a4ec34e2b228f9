/* Names that terms are about, and the client's own. */
#include "common/spf/check_priv.h"

enum { NAME_MOST = 253, LABEL_MOST = 63 };

/* What a resolver reads as it is meant: nothing that needs an escape there. */
static bool is_plain(struct span name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == '\\')
			return false;
	return true;
}

bool spf_is_name(struct span name, size_t least_labels)
{
	size_t labels = 0;

	if (name.n > NAME_MOST || !is_plain(name))
		return false;
	do {
		size_t n = span_find(name, '.');

		if (n == 0 || n > LABEL_MOST)
			return false;
		labels++;
		if (n == name.n)
			break;
		name = span_skip(name, n + 1);
	} while (true);
	return labels >= least_labels;
}

bool spf_is_within(struct span name, struct span domain)
{
	size_t at = name.n - domain.n;

	if (name.n < domain.n || !span_ieq(span_skip(name, at), domain))
		return false;
	return at == 0 || name.p[at - 1] == '.';
}

/* Section 7.3: which name of the client %{p} is. */
static struct span best_name(struct spf *s)
{
	struct span domain = spf_top(s)->domain, below = { 0 };

	for (size_t i = 0; i < s->valid_count; i++) {
		if (span_ieq(s->names[i], domain))
			return s->names[i];
		if (below.n == 0 && spf_is_within(s->names[i], domain))
			below = s->names[i];
	}
	if (below.n > 0)
		return below;
	return s->valid_count > 0 ? s->names[0] : SPAN_LIT("unknown");
}

struct span spf_filled(struct spf *s, struct span text)
{
	struct buf b = { 0 };
	struct span done;

	s->macros.domain = spf_top(s)->domain;
	s->macros.name = best_name(s);
	if (!spf_expand(&b, text, &s->macros))
		buf_reset(&b);
	done = arena_span(&s->arena, buf_span(&b));
	buf_fini(&b);
	return done;
}

struct span spf_target(struct spf *s, struct span spec)
{
	struct span name = spec.n > 0 ? spf_filled(s, spec)
				      : spf_top(s)->domain;

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	while (name.n > NAME_MOST)
		span_cut(&name, '.');
	return name;
}

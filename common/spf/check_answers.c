/* What an answer means to the state that asked. */
#include "common/base/assert.h"
#include "common/spf/check_priv.h"

enum { VOIDS_MOST = 2 }; /* section 4.6.4 */

/* One more void answer.  False: that was one too many, and it is over. */
static bool count_void(struct spf *s, const struct spf_answer *a)
{
	if (a->status != SPF_VOID || ++s->voids <= VOIDS_MOST)
		return true;
	spf_error(s, SPF_PERMERROR, "too many names that are not there",
		  s->question.name);
	return false;
}

static bool has_client(const struct spf *s, const struct spf_answer *a,
		       const struct spf_term *t)
{
	const struct net_addr *client = &s->request.client;
	unsigned bits = client->family == AF_INET ? 32 : 128;

	if (t != NULL)
		bits = client->family == AF_INET ? t->bits4 : t->bits6;
	for (size_t i = 0; a->status == SPF_FOUND && i < a->count; i++) {
		struct net_cidr net = { a->records[i].addr, bits };

		if (net_cidr_has(&net, client))
			return true;
	}
	return false;
}

/* Section 4.5: exactly one. */
static void got_record(struct spf *s, const struct spf_answer *a)
{
	struct span text = { 0 }, bad = { 0 };
	struct frame *f = spf_top(s);
	size_t found = 0;

	for (size_t i = 0; a->status == SPF_FOUND && i < a->count; i++)
		if (spf_is_record(a->records[i].text) && found++ == 0)
			text = a->records[i].text;
	if (a->status == SPF_UNKNOWN)
		spf_error(s, SPF_TEMPERROR, "no answer for", f->domain);
	else if (found > 1)
		spf_error(s, SPF_PERMERROR, "two records at", f->domain);
	else if (found == 0 && s->terms == 0)
		spf_end(s, SPF_NONE);
	else if (found == 0)
		spf_error(s, SPF_PERMERROR, "no record at", f->domain);
	else if (!spf_read(&s->arena, arena_span(&s->arena, text), &f->record,
			   &bad))
		spf_error(s, SPF_PERMERROR, "bad term", bad);
	else
		s->state = AT_TERM;
}

/* Of a, mx, exists: no answer is a temperror (section 5). */
static bool is_answered(struct spf *s, const struct spf_answer *a)
{
	if (a->status == SPF_UNKNOWN) {
		spf_error(s, SPF_TEMPERROR, "no answer for", s->question.name);
		return false;
	}
	return count_void(s, a);
}

static void got_address(struct spf *s, const struct spf_answer *a)
{
	const struct spf_term *t = spf_term_now(s);

	if (!is_answered(s, a))
		return;
	if (t->mechanism == SPF_EXISTS
		    ? a->status == SPF_FOUND && a->count > 0
		    : has_client(s, a, t))
		spf_match(s);
	else
		spf_next_term(s);
}

/* At most as many as fit; those that are no names (a null MX) are left out. */
static size_t copy_hosts(struct spf *s, const struct spf_answer *a,
			 struct span *out)
{
	size_t count = 0;

	for (size_t i = 0; a->status == SPF_FOUND && i < a->count; i++) {
		struct span host = a->records[i].text;

		if (host.n > 0 && host.p[host.n - 1] == '.')
			host.n--;
		if (count < HOSTS_MOST && spf_is_name(host, 1))
			out[count++] = arena_span(&s->arena, host);
	}
	return count;
}

static void got_hosts(struct spf *s, const struct spf_answer *a)
{
	if (!is_answered(s, a))
		return;
	if (a->status == SPF_FOUND && a->count > HOSTS_MOST) {
		spf_error(s, SPF_PERMERROR, "more than 10 MX hosts of",
			  s->question.name);
		return;
	}
	s->host_count = copy_hosts(s, a, s->hosts);
	s->host = 0;
	s->state = AT_HOST;
}

static void got_host(struct spf *s, const struct spf_answer *a)
{
	if (!is_answered(s, a))
		return;
	if (has_client(s, a, spf_term_now(s)))
		spf_match(s);
}

/* Section 5.5: those beyond the tenth are passed over, and an error means no
 * names. */
static void got_names(struct spf *s, const struct spf_answer *a)
{
	if (s->after_names == AT_TERM && !count_void(s, a))
		return;
	s->name_count = copy_hosts(s, a, s->names);
	s->name = s->valid_count = 0;
	s->state = AT_NAME;
}

static void got_name(struct spf *s, const struct spf_answer *a)
{
	if (has_client(s, a, NULL))
		s->names[s->valid_count++] = s->names[s->name - 1];
}

static void got_explanation(struct spf *s, const struct spf_answer *a)
{
	s->state = AT_OVER;
	if (a->status != SPF_FOUND || a->count != 1 ||
	    !spf_macro_ok(a->records[0].text, true))
		return;
	s->text = arena_span(&s->arena, a->records[0].text);
	s->state = AT_EXPLAINED;
}

typedef void got(struct spf *s, const struct spf_answer *a);

static got *const answered[] = {
	[AT_RECORD] = got_record,
	[AT_ADDRESS] = got_address,
	[AT_HOSTS] = got_hosts,
	[AT_HOST] = got_host,
	[AT_NAMES] = got_names,
	[AT_NAME] = got_name,
	[AT_EXPLAIN] = got_explanation,
	[AT_OVER] = NULL,
};

void spf_answer(struct spf *s, const struct spf_answer *a)
{
	MX_ASSERT(s->magic == SPF_MAGIC && answered[s->state] != NULL);
	answered[s->state](s, a);
	spf_run(s);
}

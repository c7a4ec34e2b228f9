/*
 * The brake of a domain or of a destination.
 *
 *              more than the share was refused
 *   flows ------------------------------------------> pulled
 *    ^ |                                                |
 *    | | a long outage                                  | the operator, or one is taken
 *    | v                                                v
 *    +--- canary <--------------------------------------+
 *  taken      |
 *             +-- so many were refused, none taken ----> pulled
 *
 * Example: a primary returns after an hour with an empty directory.  The first
 * message goes alone and hears "550 5.1.1"; the next, too.  With the twentieth
 * nobody was taken in a row of 20: nothing more goes, and the twenty, which
 * are not final yet, wait again.
 *
 * While it flows, a window of a minute has 60 messages taken and 40 refused
 * with "554 5.7.1": 40 % of 100 is more than a fifth.  Had they been refused
 * as 40 unknown mailboxes of a domain with recipients=*, they would count for a
 * third, 13 of 73: not more than a fifth.
 */
#include "daemon/drain/brake.h"

#include "common/base/assert.h"

enum { WEIGHT_ALL = 3, WEIGHT_LITTLE = 1, MILLION = 1000000 };

/* ---- What a refusal says ---- */

/* RFC 3463: the subject and detail of a permanent code, "1.1"; empty: none. */
static struct span detail_of(struct span reply)
{
	struct span rest = reply, word;

	span_cut(&rest, ' ');
	word = span_cut(&rest, ' ');
	return span_starts(word, SPAN_LIT("5.")) ? span_skip(word, 2)
						 : span_of("", 0);
}

/* RFC 5321 section 4.2.3, as replies to RCPT. */
static bool is_of_mailbox(struct span reply)
{
	static const char *const codes[] = { "550", "551", "552", "553" };

	for (size_t i = 0; i < COUNT(codes); i++)
		if (span_starts(reply, span_str(codes[i])))
			return true;
	return false;
}

struct brake_word brake_word(enum refused_at at, struct span reply,
			     bool is_known)
{
	struct span detail = detail_of(reply);
	bool is_unknown = span_starts(detail, SPAN_LIT("1.")) ||
			  (detail.n == 0 && at == REFUSED_AT_RCPT &&
			   is_of_mailbox(reply));

	if (at == REFUSED_AT_MAIL)
		return (struct brake_word){ true, WEIGHT_ALL };
	if (is_unknown)
		return (struct brake_word){ false, is_known ? WEIGHT_ALL
							    : WEIGHT_LITTLE };
	if (span_starts(detail, SPAN_LIT("2.")))
		return (struct brake_word){ false, WEIGHT_LITTLE };
	return (struct brake_word){ true, WEIGHT_ALL };
}

/* ---- What was seen ---- */

static struct brake_mark *find(struct brake_ring *r, uint64_t who,
			       bool is_refused)
{
	for (size_t i = 0; i < BRAKE_SEEN; i++) {
		struct brake_mark *m = &r->marks[i];

		if (m->at_ms != 0 && m->who == who &&
		    m->is_refused == is_refused)
			return m;
	}
	return NULL;
}

static struct brake_mark *note(struct brake_ring *r, uint64_t who,
			       uint32_t group, bool is_refused, int64_t now_ms)
{
	struct brake_mark *m = find(r, who, is_refused);

	MX_ASSERT(now_ms > 0);
	if (m == NULL) {
		m = &r->marks[r->next++ % BRAKE_SEEN];
		*m = (struct brake_mark){ .who = who,
					  .is_refused = is_refused };
	}
	m->group = group;
	m->at_ms = now_ms;
	return m;
}

void brake_mailbox(struct brake *b, uint64_t who, uint32_t group,
		   unsigned weight, int64_t now_ms)
{
	struct brake_mark *m =
		note(&b->mailboxes, who, group, weight > 0, now_ms);

	MX_ASSERT(weight <= WEIGHT_ALL);
	m->weight = (uint8_t)(weight > 0 ? weight : WEIGHT_ALL);
}

static void end_row(struct brake *b)
{
	for (size_t i = 0; b->has_row && i < BRAKE_SEEN; i++)
		b->messages.marks[i].is_in_row = false;
	b->has_row = false;
}

void brake_took(struct brake *b, uint64_t message, uint32_t group,
		int64_t now_ms)
{
	end_row(b);
	note(&b->messages, message, group, false, now_ms)->weight = WEIGHT_ALL;
}

void brake_refused(struct brake *b, uint64_t message, uint32_t group,
		   unsigned weight, int64_t now_ms)
{
	struct brake_mark *m = note(&b->messages, message, group, true, now_ms);

	MX_ASSERT(weight <= WEIGHT_ALL);
	m->weight = (uint8_t)weight;
	m->is_in_row = b->has_row = true;
}

static void forget(struct brake_ring *r, uint32_t group)
{
	for (size_t i = 0; i < BRAKE_SEEN; i++)
		if (r->marks[i].group == group)
			r->marks[i] = (struct brake_mark){ 0 };
}

void brake_forget(struct brake *b, uint32_t group)
{
	forget(&b->messages, group);
	forget(&b->mailboxes, group);
}

/* ---- Is it enough? ---- */

/* Of the marks that count, those of one group left out. */
struct tally {
	const struct brake_params *params;
	int64_t now_ms;
	bool is_row; /* only what is in a row */
	bool any_age;
	bool leaves_out;
	uint32_t group;
	unsigned count, refused, weight, taken; /* the last two: thirds */
	int64_t oldest_ms;
};

static bool is_counted(const struct tally *t, const struct brake_mark *m)
{
	if (m->at_ms == 0 || (t->leaves_out && m->group == t->group))
		return false;
	if (!t->any_age && m->at_ms <= t->now_ms - t->params->window_ms)
		return false;
	return t->is_row ? m->is_in_row : m->weight > 0;
}

static void add_up(struct tally *t, const struct brake_ring *r)
{
	t->count = t->refused = t->weight = t->taken = 0;
	t->oldest_ms = t->now_ms;
	for (size_t i = 0; i < BRAKE_SEEN; i++) {
		const struct brake_mark *m = &r->marks[i];

		if (!is_counted(t, m))
			continue;
		t->count++;
		t->refused += m->is_refused;
		if (m->is_refused)
			t->weight += m->weight;
		else
			t->taken += m->weight;
		if (m->is_refused && m->at_ms < t->oldest_ms)
			t->oldest_ms = m->at_ms;
	}
}

static bool is_above_share(const struct tally *t)
{
	uint64_t all = (uint64_t)t->weight + t->taken;

	return (uint64_t)t->weight * MILLION > all * t->params->share;
}

/* How often a group is among the refused. */
static unsigned count_group(const struct tally *t, const struct brake_ring *r,
			    uint32_t group)
{
	unsigned n = 0;

	for (size_t i = 0; i < BRAKE_SEEN; i++)
		n += r->marks[i].is_refused && r->marks[i].group == group &&
		     is_counted(t, &r->marks[i]);
	return n;
}

static uint32_t worst_group(const struct tally *t, const struct brake_ring *r)
{
	uint32_t worst = 0;
	unsigned most = 0;

	for (size_t i = 0; i < BRAKE_SEEN; i++) {
		unsigned n = 0;

		if (r->marks[i].is_refused && r->marks[i].group != worst)
			n = count_group(t, r, r->marks[i].group);
		if (n > most) {
			most = n;
			worst = r->marks[i].group;
		}
	}
	return worst;
}

static unsigned quarter(unsigned least)
{
	return least > 4 ? least / 4 : 1;
}

/* Without the domain that is refused most: is it so, too? */
static bool is_of_many(const struct tally *t, const struct brake_ring *r)
{
	struct tally rest = *t;

	rest.leaves_out = true;
	rest.group = worst_group(t, r);
	add_up(&rest, r);
	return rest.refused >= quarter(t->params->least) &&
	       (t->is_row || is_above_share(&rest));
}

static bool is_over(struct tally *t, const struct brake_ring *r)
{
	unsigned least = t->params->least;

	add_up(t, r);
	return t->count >= least && t->refused >= (least + 1) / 2 &&
	       is_above_share(t);
}

/* Each takes so long that the first is final before there are those few. */
static bool is_tarpit(const struct tally *t, unsigned few, int64_t took_ms)
{
	int64_t window_ms = t->params->window_ms;

	return t->refused >= 2 && took_ms * few >= window_ms &&
	       t->now_ms + took_ms >= t->oldest_ms + window_ms;
}

/*
 * Nobody was taken since.  After an outage the first of them becomes final if
 * the others take so long that the window is half over: then fewer are enough.
 */
static bool is_row_over(struct tally *t, const struct brake_ring *r,
			struct brake_case c)
{
	const struct brake_params *p = t->params;
	unsigned few = quarter(p->least) > 3 ? quarter(p->least) : 3;

	t->is_row = true;
	t->any_age = c.is_canary;
	add_up(t, r);
	if (t->refused >= p->least)
		return true;
	return c.is_canary &&
	       (is_tarpit(t, few, c.took_ms) ||
		(t->refused >= few &&
		 t->now_ms - t->oldest_ms > p->window_ms / 2));
}

bool brake_is_due(const struct brake *b, const struct brake_params *p,
		  struct brake_case c, int64_t now_ms)
{
	struct tally t = { .params = p, .now_ms = now_ms };

	MX_ASSERT(p->least > 0 && p->least <= BRAKE_LEAST_MAX);
	if (p->window_ms == 0 || p->share >= MILLION)
		return false;
	if (is_over(&t, &b->messages) &&
	    (!c.is_shared || is_of_many(&t, &b->messages)))
		return true;
	if (is_over(&t, &b->mailboxes) &&
	    (!c.is_shared || is_of_many(&t, &b->mailboxes)))
		return true;
	return is_row_over(&t, &b->messages, c) &&
	       (!c.is_shared || is_of_many(&t, &b->messages));
}

static bool has_refused(const struct brake_ring *r, int64_t since_ms)
{
	for (size_t i = 0; i < BRAKE_SEEN; i++)
		if (r->marks[i].is_refused && r->marks[i].at_ms > since_ms)
			return true;
	return false;
}

bool brake_is_idle(const struct brake *b, const struct brake_params *p,
		   int64_t now_ms)
{
	return !has_refused(&b->messages, now_ms - p->window_ms) &&
	       !has_refused(&b->mailboxes, now_ms - p->window_ms);
}

/*
 * The temper of a host, judged by its transient refusals.
 *
 *             enough refused, nothing taken between
 *   takes ----------------------------------------------> refuses
 *    ^ ^ \                                                   |
 *    | |  \  again soon, and since then it took nothing      |
 *    | |   \ at the first try                                |
 *    | |    v                                                |
 *    | +-- greylists                                         |
 *    |   one is taken at its first try, or half an hour      |
 *    +-------------------------------------------------------+
 *             one is taken
 *
 * A host that refuses everybody is probed with one real message at a time, and
 * nobody's own retry counts.  A false alarm is cheap: the probe comes after a
 * twentieth of the time since the first refusal.
 *
 * Greylisting looks the same at first: whatever is new is refused for some
 * minutes.  There a pause would keep new mail from its first try; so when the
 * first success is followed by the same again, each goes by its own retry.  So
 * it does for half an hour where three alarms on end were false: some are
 * taken at once, and many are not.
 *
 * Example: the directory behind a primary is down.  Three messages to three
 * mailboxes hear "451 4.3.0" (12 points): it refuses everybody.  The others
 * wait; one is tried after 1 s, 2 s .. until it is taken.  Then the first
 * three are due at once, too.
 */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/refusals.h"

/*
 * One refused mailbox may be full, a second one greylisted; by the third it
 * is hardly about mailboxes.  When nobody else waits who could be asked, two
 * must do.  MAIL and DATA name no mailbox: two of them are enough, and one
 * when it is the only one.
 */
enum {
	WEIGHT_HOST = 8,
	WEIGHT_MAILBOX = 4,
	WEIGHT_SAME = 1, /* another message for the same mailbox */
	POINTS_ALL = 12,
	POINTS_LAST = 8
};

#define RELAPSE_MS MINUTES(10)	/* the same again, not something new */
#define GREYLIST_MS MINUTES(30) /* their usual delay is 1 to 15 minutes */
#define OWN_MS MINUTES(10)	/* refused again though excused */
#define FALSE_MS SECONDS(3)	/* an outage of one or two trials */
enum { FALSE_MAX = 3 };

/* Without an enhanced code: empty. */
static struct span enhanced_of(struct span reply)
{
	struct span rest = reply;

	span_cut(&rest, ' ');
	return rest.n > 2 && rest.p[0] == '4' && rest.p[1] == '.'
		       ? span_of(rest.p + 2, rest.n - 2)
		       : span_of("", 0);
}

static bool has_word(struct span s, const char *word)
{
	struct span w = span_str(word);

	for (size_t i = 0; i + w.n <= s.n; i++)
		if (span_ieq(span_of(s.p + i, w.n), w))
			return true;
	return false;
}

/*
 * RFC 3463 section 3: X.1 is about an address, X.2 about a mailbox (and what
 * Postgrey says).  Many of them may still be one directory that is away, but
 * it takes more; and who speaks of greylisting is believed.
 */
struct refusal_weight refusal_weight(enum refused_at at, struct span reply)
{
	struct span code = enhanced_of(reply);
	bool is_own = span_starts(code, SPAN_LIT("1.")) ||
		      span_starts(code, SPAN_LIT("2."));

	if (has_word(reply, "greylist") || has_word(reply, "graylist"))
		return (struct refusal_weight){ 0, 0 };
	if (is_own)
		return (struct refusal_weight){ WEIGHT_SAME, 0 };
	if (at == REFUSED_AT_MAIL || at == REFUSED_AT_DATA)
		return (struct refusal_weight){ WEIGHT_HOST, WEIGHT_HOST };
	return (struct refusal_weight){ WEIGHT_MAILBOX, WEIGHT_SAME };
}

/* ---- Who was refused ---- */

static struct refused *find(struct refusals *r, uint64_t who)
{
	for (size_t i = 0; i < REFUSALS_SEEN; i++)
		if (r->seen[i].who == who)
			return &r->seen[i];
	return NULL;
}

static struct refused *enter(struct refusals *r, uint64_t who, int64_t now_ms)
{
	struct refused *s = &r->seen[r->next++ % REFUSALS_SEEN];

	*s = (struct refused){ .who = who, .since_ms = now_ms };
	return s;
}

/* It was tried beside its own retry, and refused again: that is its own
 * matter, and says nothing of the others. */
static bool is_own_matter(const struct refused *s, int64_t now_ms)
{
	return s->excused_ms != 0 && now_ms - s->excused_ms < OWN_MS;
}

static unsigned weigh(struct refusals *r, const struct refusal *f,
		      int64_t now_ms)
{
	struct refusal_weight w = refusal_weight(f->at, f->reply);
	struct refused *s = find(r, f->who);
	unsigned points = w.first;

	if (s == NULL) {
		s = enter(r, f->who, now_ms);
	} else if (w.first != WEIGHT_HOST) {
		points = s->unit == f->unit || is_own_matter(s, now_ms)
				 ? 0
				 : w.again;
	}
	s->unit = f->unit;
	return points;
}

static void excuse_all(struct refusals *r, int64_t now_ms)
{
	for (size_t i = 0; i < REFUSALS_SEEN; i++)
		if (r->seen[i].who != 0)
			r->seen[i].excused_ms = now_ms;
}

/* ---- The machine ---- */

static bool is_relapse(const struct refusals *r, int64_t now_ms)
{
	return r->ended_ms != 0 && now_ms - r->ended_ms < RELAPSE_MS;
}

/* The same again goes on where it was, by half: a host that takes ten a
 * minute and refuses the rest is not asked every second for ever. */
static void refuse_all(struct refusals *r, int64_t now_ms)
{
	r->temper = HOST_REFUSES;
	r->since_ms = r->began_ms;
	if (is_relapse(r, now_ms))
		r->since_ms -= r->lasted_ms / 2;
	r->took_new = false;
}

static void greylist(struct refusals *r, int64_t now_ms)
{
	r->temper = HOST_GREYLISTS;
	if (r->until_ms < now_ms || r->false_alarms < FALSE_MAX)
		r->until_ms = now_ms + GREYLIST_MS;
}

static void calm_down(struct refusals *r)
{
	r->temper = HOST_TAKES;
	r->false_alarms = 0;
}

/* Enough were refused.  Is it worse for the others to wait, or to be tried?  A
 * refusal of MAIL knows no recipient: it is not greylisting. */
static bool is_greylisting(const struct refusals *r, int64_t now_ms)
{
	if (r->is_of_senders)
		return false;
	return r->temper == HOST_GREYLISTS || r->false_alarms >= FALSE_MAX ||
	       (is_relapse(r, now_ms) && !r->took_new);
}

bool refusals_add(struct refusals *r, const struct refusal *f, int64_t now_ms)
{
	MX_ASSERT(f->who != 0);
	if (r->temper == HOST_GREYLISTS && now_ms >= r->until_ms)
		calm_down(r);
	if (r->points == 0) {
		r->began_ms = now_ms;
		r->is_of_senders = false;
	}
	r->points += weigh(r, f, now_ms);
	r->is_of_senders |= f->at == REFUSED_AT_MAIL;
	if (r->temper == HOST_REFUSES ||
	    r->points < (f->is_last ? POINTS_LAST : POINTS_ALL))
		return false;
	if (is_greylisting(r, now_ms)) {
		greylist(r, now_ms);
		return false;
	}
	refuse_all(r, now_ms);
	return true;
}

static void note_end(struct refusals *r, bool is_new, int64_t now_ms)
{
	bool is_false = is_new && now_ms - r->began_ms < FALSE_MS;

	if (!is_false)
		r->false_alarms = 0;
	else if (!is_relapse(r, now_ms))
		r->false_alarms = 1;
	else
		r->false_alarms++;
	r->ended_ms = now_ms;
	r->lasted_ms = now_ms - r->since_ms;
}

/* True: what it refused before is worth another try now. */
static bool comes_round(struct refusals *r, bool is_new, int64_t now_ms)
{
	switch (r->temper) {
	case HOST_REFUSES:
		note_end(r, is_new, now_ms);
		break;
	case HOST_GREYLISTS:
		if (!is_new || r->false_alarms >= FALSE_MAX)
			return false;
		break;
	case HOST_TAKES:
		return r->points >= POINTS_LAST;
	}
	r->temper = HOST_TAKES;
	return true;
}

/* His mail was deferred, and now some goes through. */
static bool excuse_one(struct refusals *r, uint64_t who, int64_t now_ms,
		       int64_t *since_ms)
{
	struct refused *s = find(r, who);

	if (s == NULL || is_own_matter(s, now_ms))
		return false;
	if (r->temper != HOST_TAKES) {
		*s = (struct refused){ 0 };
		return false;
	}
	*since_ms = s->since_ms;
	s->excused_ms = now_ms;
	return true;
}

enum excused refusals_end(struct refusals *r, uint64_t who, bool is_new,
			  int64_t now_ms, int64_t *since_ms)
{
	bool is_same = excuse_one(r, who, now_ms, since_ms);
	bool is_all = comes_round(r, is_new, now_ms);

	r->points = 0;
	r->took_new |= is_new;
	if (!is_all)
		return is_same ? EXCUSED_SAME : EXCUSED_NONE;
	excuse_all(r, now_ms);
	return EXCUSED_ALL;
}

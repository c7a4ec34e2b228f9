/* What this host has in hand for the day: who is a recipient, and room. */
#include "common/base/clock.h"
#include "daemon/check/exam.h"

enum {
	OLD_DAYS = 90,	   /* a file that nobody has touched */
	AGEING_DAYS = 30,
	FETCH_LATE = 4,	   /* times policy.refresh */
	FETCH_DAYS = 1,	   /* or so long, whichever is more */
	FULL_PERCENT = 90,
	FILLING_PERCENT = 70,
	DAYS_LEAST = 1,
	DAYS_GOOD = 4,	   /* a long weekend */
	BYTES_USUAL = 75000, /* of a message, where none is there to ask */
};

/* ---- recipients ---- */

struct tally {
	int64_t count;	/* listed ones */
	bool is_open;	/* "*" */
	bool is_asked;	/* "verify" */
	bool is_unknown; /* a table that never came */
};

static bool is_url(struct span name)
{
	return span_istarts(name, SPAN_LIT("https:"));
}

static void judge_fetched(struct exam *e, const struct domains_source *s,
			  int64_t age_ms)
{
	const struct span name = buf_span(&s->name);
	const int64_t refresh_ms = e->world->config->policy.refresh_ms;
	const int64_t late_ms = FETCH_LATE * refresh_ms > DAYS(FETCH_DAYS)
					? FETCH_LATE * refresh_ms
					: DAYS(FETCH_DAYS);

	if (s->fetched_ms == 0)
		findings_add(&e->findings, CHECK_RECIPIENTS, SEVERITY_ERROR,
			     "%.*s was never fetched%s%.*s", SPAN_ARG(name),
			     s->error.n > 0 ? ": " : "",
			     SPAN_ARG(buf_span(&s->error)));
	else if (age_ms > late_ms)
		findings_add(&e->findings, CHECK_RECIPIENTS, SEVERITY_WARNING,
			     "%.*s is %lld days old%s%.*s", SPAN_ARG(name),
			     (long long)(age_ms / DAYS(1)),
			     s->error.n > 0 ? ": " : "",
			     SPAN_ARG(buf_span(&s->error)));
	else if (s->error.n > 0)
		findings_add(&e->findings, CHECK_RECIPIENTS, SEVERITY_WARNING,
			     "%.*s: %.*s", SPAN_ARG(name),
			     SPAN_ARG(buf_span(&s->error)));
	else
		return;
	findings_remedy(&e->findings, "curl -fsS -o /dev/null %.*s",
			SPAN_ARG(name));
}

static void judge_file(struct exam *e, const struct domains_source *s,
		       int64_t age_ms)
{
	if (age_ms <= DAYS(AGEING_DAYS))
		return;
	findings_add(&e->findings, CHECK_RECIPIENTS,
		     age_ms > DAYS(OLD_DAYS) ? SEVERITY_WARNING
					     : SEVERITY_INFO,
		     "%.*s was last changed %lld days ago: does it know "
		     "everybody?",
		     SPAN_ARG(buf_span(&s->name)),
		     (long long)(age_ms / DAYS(1)));
	findings_remedy(&e->findings,
			"in the allowlist: %.*s recipients=%.*s,verify",
			SPAN_ARG(e->row->name), SPAN_ARG(buf_span(&s->name)));
}

static void judge_source(struct exam *e, const struct domains_source *s,
			 struct tally *t)
{
	const struct span name = buf_span(&s->name);
	const int64_t age_ms = clock_wall_ms() - s->fetched_ms;

	if (span_eq(name, SPAN_LIT("*"))) {
		t->is_open = true;
	} else if (span_eq(name, SPAN_LIT("verify"))) {
		t->is_asked = true;
	} else {
		t->is_unknown |= s->count < 0;
		t->count += s->count > 0 ? s->count : 0;
		if (is_url(name))
			judge_fetched(e, s, age_ms);
		else
			judge_file(e, s, age_ms);
	}
}

static void judge_tally(struct exam *e, const struct tally *t)
{
	struct findings *f = &e->findings;

	if (t->is_open) {
		findings_add(f, CHECK_RECIPIENTS, SEVERITY_WARNING,
			     "recipients=*: whatever spam makes up is accepted "
			     "here, and refused by the primary later");
		findings_remedy(f, "in the allowlist: %.*s recipients=verify",
				SPAN_ARG(e->row->name));
	} else if (t->count == 0 && !t->is_asked && !t->is_unknown) {
		findings_add(f, CHECK_RECIPIENTS, SEVERITY_ERROR,
			     "no recipient of %.*s is known: all mail but "
			     "postmaster's is refused",
			     SPAN_ARG(e->row->name));
		findings_remedy(f, "in the allowlist: %.*s recipients=verify",
				SPAN_ARG(e->row->name));
	}
	findings_ok(f, CHECK_RECIPIENTS, "%lld listed%s", (long long)t->count,
		    t->is_asked ? ", others are asked for" : "");
}

void recipients_judge(struct exam *e)
{
	const struct check_options *opt = e->world->opt;
	struct domains_source s = { 0 };
	struct tally t = { 0 };

	if (e->row == NULL) {
		findings_add(&e->findings, CHECK_RECIPIENTS, SEVERITY_ERROR,
			     "%.*s is not in the allowlist: its mail is "
			     "refused here",
			     SPAN_ARG(e->domain));
		findings_remedy(&e->findings,
				"in the allowlist: %.*s recipients=verify",
				SPAN_ARG(e->domain));
		return;
	}
	for (size_t i = 0;
	     opt->source(e->row, e->domain, i, &s, opt->arg); i++)
		judge_source(e, &s, &t);
	domains_source_fini(&s);
	judge_tally(e, &t);
}

/* ---- spool-room ---- */

static uint64_t room_left(const struct check_room *r)
{
	const uint64_t quota = r->size_bytes > r->used_bytes
				       ? r->size_bytes - r->used_bytes
				       : 0;
	const uint64_t disk = r->disk_bytes > r->reserve_bytes
				      ? r->disk_bytes - r->reserve_bytes
				      : 0;

	return quota < disk ? quota : disk;
}

static bool is_disk(const struct check_room *r)
{
	return r->size_bytes > r->used_bytes &&
	       room_left(r) < r->size_bytes - r->used_bytes;
}

static void remedy_room(struct findings *f, const struct check_room *r,
			uint64_t wanted)
{
	struct buf size = { 0 };

	if (is_disk(r)) {
		findings_remedy(f, "make room on the disk of the spool");
	} else {
		/* in whole GiB, what can be written down */
		buf_addu(&size, (wanted >> 30) + 1);
		buf_addc(&size, 'G');
		findings_remedy(f, "spool = { size = \"%s\"; };",
				buf_cstr(&size));
	}
	buf_fini(&size);
}

static void judge_fill(struct findings *f, const struct check_room *r)
{
	const uint64_t left = room_left(r), all = left + r->used_bytes;
	const uint64_t percent = all > 0 ? r->used_bytes * 100 / all : 100;

	if (percent < FILLING_PERCENT && left > 0)
		return;
	findings_add(f, CHECK_SPOOL_ROOM,
		     percent >= FULL_PERCENT ? SEVERITY_ERROR
					     : SEVERITY_WARNING,
		     "the spool is %llu %% full%s",
		     (unsigned long long)percent,
		     is_disk(r) ? ", as others fill its disk" : "");
	remedy_room(f, r, 4 * r->used_bytes);
}

/* Bytes a day, as the last outage had them; 0: there was none to go by. */
static double bytes_a_day(const struct check_room *r)
{
	const double each = r->messages > 10
				    ? (double)r->bytes / (double)r->messages
				    : BYTES_USUAL;

	if (r->outage_messages == 0 || r->outage_ms < MINUTES(1))
		return 0;
	return each * (double)r->outage_messages * (double)DAYS(1) /
	       (double)r->outage_ms;
}

static void judge_days(struct findings *f, const struct check_room *r)
{
	const double rate = bytes_a_day(r);
	double days;

	if (rate <= 0)
		return;
	days = (double)room_left(r) / rate;
	if (days < DAYS_GOOD) {
		findings_add(f, CHECK_SPOOL_ROOM,
			     days < DAYS_LEAST ? SEVERITY_ERROR
					       : SEVERITY_WARNING,
			     "at the rate of the last outage the spool is full "
			     "after %.1f days; mail is kept for %lld",
			     days, (long long)(r->lifetime_ms / DAYS(1)));
		remedy_room(f, r,
			    r->used_bytes +
				    (uint64_t)(rate * (double)r->lifetime_ms /
					       (double)DAYS(1)));
	}
	findings_ok(f, CHECK_SPOOL_ROOM,
		    "%.0f days at the rate of the last outage", days);
}

void room_judge(struct findings *f, const struct check_room *room)
{
	if (!room->is_known) {
		findings_add(f, CHECK_SPOOL_ROOM, SEVERITY_INFO,
			     "not known: %.*s", SPAN_ARG(room->why));
		return;
	}
	judge_fill(f, room);
	judge_days(f, room);
	findings_ok(f, CHECK_SPOOL_ROOM,
		    "%llu MiB left; no outage to go by yet",
		    (unsigned long long)(room_left(room) >> 20));
}

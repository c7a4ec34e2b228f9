#include "daemon/history/history.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hash.h"

enum {
	MAGIC = 0x68697374,
	WRITES_A_TICK = 256,
	SEEN_MS = 300000, /* how far the row's may be behind */
};

enum phase { SEEN, ON, OVER };

struct record {
	enum phase phase;
	uint64_t id; /* 0 while it is not written */
	int64_t began_ms, ended_ms, seen_ms, worst_ms;
	int64_t written_ms;  /* seen_ms of the row */
	uint64_t heard_tick; /* when something was said of it */
	uint64_t messages;   /* that it made wait */
	uint64_t left;	     /* of these, that do not any more */
	uint64_t refused;
	uint64_t domain_count, named;
	struct buf destination, reply, domains;
	bool is_dirty;
	bool is_newest;	       /* of its destination: in the hash */
	struct record *before; /* while it is only seen: the one it hides, */
	struct record *hider;  /* and the way back */
	TAILQ_ENTRY(record) link;
	UT_hash_handle hh;
};
TAILQ_HEAD(records, record);

struct history {
	unsigned magic;
	struct history_options opt;
	struct record *newest; /* hash by destination */
	struct records busy;   /* seen, on, or to be written */
	struct records over;   /* the oldest first */
	size_t count;	       /* rows there are */
	uint16_t serial;
	uint64_t ticks; /* a clock that nobody sets */
};

/* ---- Records ---- */

static struct record *find(struct history *h, struct span destination)
{
	struct record *r;

	MX_ASSERT(h->magic == MAGIC);
	HASH_FIND(hh, h->newest, destination.p, destination.n, r);
	return r;
}

static void enter(struct history *h, struct record *r)
{
	r->is_newest = true;
	HASH_ADD_KEYPTR(hh, h->newest, r->destination.p, r->destination.n, r);
}

static void leave(struct history *h, struct record *r)
{
	if (r->is_newest)
		HASH_DEL(h->newest, r);
	r->is_newest = false;
}

static bool is_busy(const struct record *r)
{
	return r->phase != OVER || r->is_dirty;
}

static struct records *list_of(struct history *h, const struct record *r)
{
	return is_busy(r) ? &h->busy : &h->over;
}

/* It goes where it belongs after a change of phase or dirt. */
static void change(struct history *h, struct record *r, enum phase phase,
		   bool is_dirty)
{
	TAILQ_REMOVE(list_of(h, r), r, link);
	r->phase = phase;
	r->is_dirty = is_dirty;
	TAILQ_INSERT_TAIL(list_of(h, r), r, link);
}

static struct record *record_new(struct history *h, struct span destination)
{
	struct record *r = mx_alloc(sizeof(*r));

	buf_add(&r->destination, destination);
	TAILQ_INSERT_TAIL(&h->busy, r, link);
	return r;
}

/* Which one it hides; NULL: none any more. */
static void hide(struct record *r, struct record *before)
{
	if (r->before != NULL)
		r->before->hider = NULL;
	r->before = before;
	if (before != NULL)
		before->hider = r;
}

static void record_free(struct history *h, struct record *r)
{
	hide(r, NULL);
	if (r->hider != NULL)
		hide(r->hider, NULL);
	leave(h, r);
	TAILQ_REMOVE(list_of(h, r), r, link);
	buf_fini(&r->destination);
	buf_fini(&r->reply);
	buf_fini(&r->domains);
	free(r);
}

/* ---- Rows ---- */

static void put(struct history *h, uint64_t id, struct span value)
{
	struct buf key = { 0 };

	outage_key(&key, id);
	h->opt.put(buf_span(&key), value, h->opt.arg);
	buf_fini(&key);
}

static void write_row(struct history *h, struct record *r)
{
	const struct outage o = {
		.id = r->id,
		.began_ms = r->began_ms,
		.ended_ms = r->ended_ms,
		.seen_ms = r->seen_ms,
		.messages = r->messages > r->left ? r->messages : r->left,
		.left = r->left,
		.refused = r->refused,
		.worst_ms = r->worst_ms,
		.destination = buf_span(&r->destination),
		.reply = buf_span(&r->reply),
		.domains = buf_span(&r->domains),
		.domains_left_out = r->domain_count > r->named
					    ? r->domain_count - r->named
					    : 0,
	};
	struct buf value = { 0 };

	outage_put(&value, &o);
	put(h, r->id, buf_span(&value));
	buf_fini(&value);
	r->written_ms = r->seen_ms;
	change(h, r, r->phase, false);
}

static void touch(struct history *h, struct record *r)
{
	if (r->id != 0 && !r->is_dirty)
		change(h, r, r->phase, true);
}

/* The oldest that is over makes room; false: none is. */
static bool make_room(struct history *h)
{
	struct record *oldest = TAILQ_FIRST(&h->over);

	if (h->count < HISTORY_ROWS_MAX)
		return true;
	if (oldest == NULL)
		return false;
	put(h, oldest->id, SPAN_LIT(""));
	record_free(h, oldest);
	h->count--;
	return true;
}

/* It has lasted: it is written.  The one before is history. */
static void become_row(struct history *h, struct record *r)
{
	r->id = (uint64_t)r->began_ms << 16 | h->serial++;
	hide(r, NULL);
	h->count++;
	change(h, r, ON, true);
	write_row(h, r);
}

/* It was too short: as if it had not been. */
static void forget(struct history *h, struct record *r)
{
	struct record *before = r->before;

	record_free(h, r);
	if (before != NULL)
		enter(h, before);
}

/* ---- What happens ---- */

static void end(struct history *h, struct record *r, int64_t at_ms)
{
	r->ended_ms = at_ms > r->began_ms ? at_ms : r->began_ms;
	change(h, r, OVER, true);
	write_row(h, r);
}

static bool goes_on(const struct record *last, int64_t since_ms)
{
	return last != NULL && last->phase == OVER &&
	       since_ms - last->ended_ms < HISTORY_PAUSE_MS;
}

static struct record *begin(struct history *h, const struct history_down *what,
			    struct record *last)
{
	struct record *r;

	if (goes_on(last, what->since_ms)) {
		last->ended_ms = 0;
		change(h, last, ON, true);
		return last;
	}
	if (!make_room(h))
		return NULL;
	last = find(h, what->destination); /* it may have made the room */
	if (last != NULL)
		leave(h, last);
	r = record_new(h, what->destination);
	r->began_ms = what->since_ms;
	if (last != NULL && last->ended_ms > r->began_ms)
		r->began_ms = last->ended_ms;
	hide(r, last);
	enter(h, r);
	return r;
}

static bool is_named(const struct record *r, struct span name)
{
	const struct outage o = { .domains = buf_span(&r->domains) };

	return outage_names(&o, name);
}

/* Some more names, and how many there are. */
static bool take_domains(struct record *r, const struct history_down *what)
{
	uint64_t before = r->domain_count;
	struct span rest = what->domains;
	uint64_t named = r->named;

	while (rest.n > 0 && r->named < OUTAGE_DOMAINS_MAX) {
		struct span name = span_cut(&rest, ' ');

		if (name.n == 0 || is_named(r, name))
			continue;
		if (r->domains.n > 0)
			buf_addc(&r->domains, ' ');
		buf_add(&r->domains, name);
		r->named++;
	}
	if (what->domain_count > r->domain_count)
		r->domain_count = what->domain_count;
	if (r->named > r->domain_count)
		r->domain_count = r->named;
	return r->named != named || r->domain_count != before;
}

void history_down(struct history *h, const struct history_down *what,
		  int64_t now_ms)
{
	struct record *r = find(h, what->destination);
	bool is_news;

	if (r == NULL || r->phase == OVER)
		r = begin(h, what, r);
	if (r == NULL)
		return;
	r->heard_tick = h->ticks;
	is_news = take_domains(r, what);
	if (what->seen_ms > r->seen_ms)
		r->seen_ms = what->seen_ms;
	if (what->reply.n > 0 && !span_eq(what->reply, buf_span(&r->reply))) {
		buf_reset(&r->reply);
		buf_add(&r->reply, what->reply);
		is_news = true;
	}
	if (r->phase == SEEN && now_ms - r->began_ms >= HISTORY_LEAST_MS)
		become_row(h, r);
	else if (is_news || r->seen_ms - r->written_ms >= SEEN_MS)
		touch(h, r);
}

void history_up(struct history *h, struct span destination, uint64_t waiting,
		int64_t now_ms)
{
	struct record *r = find(h, destination);

	if (r == NULL || r->phase == OVER)
		return;
	if (r->phase == SEEN && now_ms - r->began_ms < HISTORY_LEAST_MS) {
		forget(h, r);
		return;
	}
	if (r->left + waiting > r->messages)
		r->messages = r->left + waiting;
	r->seen_ms = now_ms;
	if (r->phase == SEEN)
		become_row(h, r);
	end(h, r, now_ms);
}

/*
 * It waited for the outage if it came before its end and was not tried since.
 * While it goes on, nothing but an end without delivery is the end of a wait.
 */
static bool is_concerned(const struct record *r, const struct history_unit *u)
{
	if (r->phase != OVER)
		return u->has_left;
	return u->arrived_ms <= r->ended_ms && u->tried_ms <= r->ended_ms;
}

void history_settled(struct history *h, const struct history_unit *u,
		     int64_t now_ms)
{
	struct record *r = find(h, u->destination);
	int64_t from_ms;

	if (r == NULL || !is_concerned(r, u))
		return;
	/* what it had waited before is not the outage's */
	from_ms = u->arrived_ms > r->began_ms ? u->arrived_ms : r->began_ms;
	r->left++;
	r->refused += u->refused;
	if (now_ms - from_ms > r->worst_ms)
		r->worst_ms = now_ms - from_ms;
	touch(h, r);
}

/* ---- Now and then ---- */

/* True: a row was written. */
static bool look_at(struct history *h, struct record *r, int64_t gone_ms,
		    int64_t now_ms)
{
	int64_t quiet_ms =
		(int64_t)(h->ticks - r->heard_tick) * HISTORY_TICK_MS;
	bool is_gone = r->phase != OVER && quiet_ms > gone_ms;

	if (r->phase == SEEN && now_ms - r->began_ms < HISTORY_LEAST_MS)
		return false;
	if (r->phase == SEEN)
		become_row(h, r);
	else if (r->is_dirty)
		write_row(h, r);
	else if (!is_gone)
		return false;
	if (is_gone)
		end(h, r, r->seen_ms);
	return true;
}

void history_tick(struct history *h, int64_t gone_ms, int64_t now_ms)
{
	struct record *r, *next;
	unsigned left = WRITES_A_TICK;

	MX_ASSERT(h->magic == MAGIC);
	h->ticks++;
	for (r = TAILQ_FIRST(&h->busy); r != NULL && left > 0; r = next) {
		next = TAILQ_NEXT(r, link);
		left -= look_at(h, r, gone_ms, now_ms);
	}
}

/* ---- Life ---- */

struct history *history_new(const struct history_options *opt)
{
	struct history *h = mx_alloc(sizeof(*h));

	h->magic = MAGIC;
	h->opt = *opt;
	TAILQ_INIT(&h->busy);
	TAILQ_INIT(&h->over);
	return h;
}

static void fill(struct record *r, const struct outage *o)
{
	struct span rest = o->domains;

	r->id = o->id;
	r->began_ms = o->began_ms;
	r->ended_ms = o->ended_ms;
	r->seen_ms = r->written_ms = o->seen_ms;
	r->worst_ms = o->worst_ms;
	r->messages = o->messages;
	r->left = o->left;
	r->refused = o->refused;
	buf_add(&r->reply, o->reply);
	buf_add(&r->domains, o->domains);
	for (; rest.n > 0; r->named++)
		span_cut(&rest, ' ');
	r->domain_count = r->named + o->domains_left_out;
}

void history_load(struct history *h, struct span key, struct span value)
{
	struct record *r;
	struct outage o;

	if (!outage_get(key, value, &o))
		return;
	r = record_new(h, o.destination);
	fill(r, &o);
	h->count++;
	change(h, r, o.ended_ms != 0 ? OVER : ON, false);
	if (r->phase == OVER) { /* they come the newest first */
		TAILQ_REMOVE(&h->over, r, link);
		TAILQ_INSERT_HEAD(&h->over, r, link);
	}
	if (find(h, o.destination) == NULL)
		enter(h, r);
	else if (r->phase == ON)
		end(h, r, r->seen_ms);
}

void history_free(struct history **hp)
{
	struct history *h = *hp;
	struct record *r;

	*hp = NULL;
	if (h == NULL)
		return;
	while ((r = TAILQ_FIRST(&h->busy)) != NULL) {
		if (r->is_dirty && r->id != 0)
			write_row(h, r);
		record_free(h, r);
	}
	while ((r = TAILQ_FIRST(&h->over)) != NULL)
		record_free(h, r);
	MX_ASSERT(h->newest == NULL);
	h->magic = 0;
	free(h);
}

#include "daemon/policy/clients.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hash.h"

enum {
	FULL_MS = 60 * 1000, /* an empty bucket is full again after this */
	SWEEP_MAX = 4,	     /* of the forgotten ones, per connection */
	MINUTE_MS = 60 * 1000,
	LINES = 100, /* enough to see who guesses, and for how long */
	LINES_ALL = 6000,
};

/* Networks that count, the narrowest first: a host has a /64, a customer a
 * /56, a site a /48. */
enum { WIDTHS = 3 };
struct width {
	unsigned bits, factor;
};
static const struct width v6[WIDTHS] = { { 64, 1 }, { 56, 4 }, { 48, 16 } };
static const struct width v4[WIDTHS] = { { 32, 1 }, { 24, 16 } };

/* Lines of this minute. */
struct lines {
	int64_t since_ms; /* 0: none yet */
	unsigned said, left_out;
};

/* Tokens are counted in thousandths of a connection. */
struct client {
	struct net_addr key;
	unsigned held;
	struct lines lines;
	bool is_rated; /* the fields below mean something */
	int64_t millitokens;
	int64_t filled_ms; /* when they were counted */
	UT_hash_handle hh;
	TAILQ_ENTRY(client) idle; /* while held is 0 */
};

TAILQ_HEAD(client_list, client);

struct clients {
	struct client *table;
	size_t connected;
	size_t idle_count;
	struct lines lines; /* of all */
	struct client_list idle; /* who left first stands first */
};

struct clients *clients_new(void)
{
	struct clients *c = mx_alloc(sizeof(*c));

	TAILQ_INIT(&c->idle);
	return c;
}

void clients_free(struct clients **c)
{
	struct client *e, *next;

	if (*c == NULL)
		return;
	e = (*c)->table;
	HASH_CLEAR(hh, (*c)->table); /* the entries keep their chain */
	for (; e != NULL; e = next) {
		next = e->hh.next;
		free(e);
	}
	free(*c);
	*c = NULL;
}

static const struct width *width_of(const struct net_addr *client, int i)
{
	const struct width *w = client->family == AF_INET6 ? v6 : v4;

	return i < WIDTHS && w[i].bits > 0 ? &w[i] : NULL;
}

/* net_addr as a hash key: no padding may differ; the port is the width. */
static struct net_addr key_of(const struct net_addr *client,
			      const struct width *w)
{
	struct net_addr key;

	memset(&key, 0, sizeof(key));
	key.family = client->family;
	key.port = (in_port_t)w->bits;
	memcpy(key.ip, client->ip, w->bits / 8);
	return key;
}

static struct client *find(const struct clients *c,
			   const struct net_addr *client,
			   const struct width *w)
{
	struct net_addr key = key_of(client, w);
	struct client *e;

	HASH_FIND(hh, c->table, &key, sizeof(key), e);
	return e;
}

static void forget(struct clients *c, struct client *e)
{
	/* who is in the table has one: the analyzer cannot know */
	HASH_DELETE(hh, c->table, e); /* NOLINT(*NullDereference) */
	free(e);
}

static void forget_idle(struct clients *c, struct client *e)
{
	TAILQ_REMOVE(&c->idle, e, idle);
	c->idle_count--;
	forget(c, e);
}

/* A bounded piece of sweeping with each connection keeps the table no larger
 * than a minute's worth of clients. */
static void sweep(struct clients *c, int64_t now_ms)
{
	struct client *e = TAILQ_FIRST(&c->idle), *next;

	for (int i = 0; i < SWEEP_MAX && e != NULL; i++, e = next) {
		next = TAILQ_NEXT(e, idle);
		if (now_ms - e->filled_ms < FULL_MS &&
		    c->idle_count <= CLIENTS_IDLE_MAX)
			return;
		forget_idle(c, e);
	}
}

size_t clients_connected(const struct clients *c)
{
	return c->connected;
}

size_t clients_known(const struct clients *c)
{
	return HASH_COUNT(c->table);
}

unsigned clients_held(const struct clients *c, const struct net_addr *client)
{
	const struct client *e = find(c, client, width_of(client, 0));

	return e != NULL ? e->held : 0;
}

bool clients_are_many(const struct clients *c, const struct net_addr *client,
		      unsigned per_client)
{
	const struct width *w;

	for (int i = 0; (w = width_of(client, i)) != NULL; i++) {
		const struct client *e = find(c, client, w);

		if (e != NULL && e->held / w->factor >= per_client)
			return true;
	}
	return false;
}

/* A bucket holds a minute's worth and starts full. */
static int64_t millitokens(const struct client *e, unsigned rate,
			   int64_t now_ms)
{
	int64_t most = (int64_t)rate * 1000, elapsed_ms, tokens;

	if (e == NULL || !e->is_rated)
		return most;
	elapsed_ms = now_ms - e->filled_ms;
	if (elapsed_ms >= FULL_MS)
		return most;
	tokens = e->millitokens + elapsed_ms * (int64_t)rate / 60;
	return tokens < most ? tokens : most;
}

bool clients_may_connect(struct clients *c, const struct net_addr *client,
			 unsigned rate, int64_t now_ms)
{
	const struct width *w;

	for (int i = 0; rate > 0 && (w = width_of(client, i)) != NULL; i++)
		if (millitokens(find(c, client, w), rate * w->factor, now_ms) <
		    1000)
			return false;
	return true;
}

static struct client *find_or_add(struct clients *c,
				  const struct net_addr *client,
				  const struct width *w)
{
	struct client *e = find(c, client, w);

	if (e == NULL) {
		e = mx_alloc(sizeof(*e));
		e->key = key_of(client, w);
		HASH_ADD(hh, c->table, key, sizeof(e->key), e);
	} else if (e->held == 0) {
		TAILQ_REMOVE(&c->idle, e, idle);
		c->idle_count--;
	}
	return e;
}

static void spend_token(struct client *e, unsigned rate, int64_t now_ms)
{
	if (rate > 0)
		e->millitokens = millitokens(e, rate, now_ms) - 1000;
	e->filled_ms = now_ms;
	e->is_rated = rate > 0;
}

void clients_enter(struct clients *c, const struct net_addr *client,
		   unsigned rate, int64_t now_ms)
{
	const struct width *w;

	c->connected++;
	for (int i = 0; (w = width_of(client, i)) != NULL; i++) {
		struct client *e = find_or_add(c, client, w);

		e->held++;
		spend_token(e, rate * w->factor, now_ms);
	}
	sweep(c, now_ms);
}

static void leave(struct clients *c, struct client *e)
{
	MX_ASSERT(e != NULL && e->held > 0);
	if (--e->held > 0)
		return;
	if (!e->is_rated && e->lines.since_ms == 0) {
		forget(c, e);
		return;
	}
	TAILQ_INSERT_TAIL(&c->idle, e, idle);
	c->idle_count++;
}

void clients_leave(struct clients *c, const struct net_addr *client)
{
	const struct width *w;

	c->connected--;
	for (int i = 0; (w = width_of(client, i)) != NULL; i++)
		leave(c, find(c, client, w));
}

/* ---- Lines of the log ---- */

static struct clients_line spend(struct lines *l, unsigned most, int64_t now_ms)
{
	struct clients_line line = { .may = false };

	if (l->since_ms == 0 || now_ms - l->since_ms >= MINUTE_MS) {
		line.left_out = l->left_out;
		*l = (struct lines){ .since_ms = now_ms > 0 ? now_ms : 1 };
	}
	line.may = l->said < most;
	line.is_last = l->said + 1 == most;
	if (line.may)
		l->said++;
	else
		l->left_out++;
	return line;
}

struct clients_line clients_line(struct clients *c,
				 const struct net_addr *client, int64_t now_ms)
{
	struct client *e = find(c, client, width_of(client, 0));
	struct clients_line own = { .may = true }, all;

	if (e != NULL) /* else it was let in by nobody */
		own = spend(&e->lines, LINES, now_ms);
	if (!own.may || own.is_last || own.left_out > 0)
		return own;
	all = spend(&c->lines, LINES_ALL, now_ms);
	all.is_all = true;
	return all;
}

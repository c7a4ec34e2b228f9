/* Relayed mail over the drain's connections. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/delivery/delivery_priv.h"
#include "daemon/drain/lane_priv.h"
#include "daemon/relay/relay.h"
#include "tests/support/drain_world.h"

TestSuite(drain_lane, .timeout = 60);

/* ---- Clients ---- */

static bool may_answer(struct span domain, void *arg)
{
	return drain_may_answer(arg, domain);
}

static struct lane *ask(const struct lane_ask *what, void *arg)
{
	return drain_lane_ask(arg, what);
}

struct client {
	struct world *w;
	struct relay_door door;
	struct envelope env;
	struct net_addr addr;
	struct relay *relay;
	unsigned rcpts, rooms, ended;
	struct relay_said rcpt, end;
};

static void on_rcpt(const struct relay_said *said, void *arg)
{
	struct client *c = arg;

	c->rcpt = *said;
	c->rcpts++;
}

static void on_room(void *arg)
{
	((struct client *)arg)->rooms++;
}

static void on_end(const struct relay_said *said, void *arg)
{
	struct client *c = arg;

	c->end = *said;
	c->ended++;
}

static const struct relay_listener listener = { on_rcpt, on_room, on_end };

/* From a network of that number. */
static void come_from(struct client *c, struct world *w, unsigned char number)
{
	*c = (struct client){
		.w = w,
		.door = { may_answer, ask, drain_lane_more_rcpt,
			  drain_lane_more_content, drain_lane_close,
			  drain_lane_give_up, w->drain },
		.env = { .from = SPAN_LIT("a@b.test") },
		.addr = { .family = AF_INET, .ip = { 192, 0, 2, number } },
	};
	c->relay = relay_new(&(struct relay_options){
		.loop = w->loop,
		.door = &c->door,
		.env = &c->env,
		.client = &c->addr,
		.listener = &listener,
		.arg = c,
	});
}

/* Each from another one. */
static void come(struct client *c, struct world *w)
{
	static unsigned char number;

	come_from(c, w, number++ % 100);
}

static void rcpt_notify(struct client *c, const char *path, unsigned notify)
{
	relay_rcpt(c->relay,
		   &(struct recipient){
			   .path = span_str(path),
			   .domain = span_str(strchr(path, '@') + 1),
			   .notify = notify,
		   });
}

static void rcpt(struct client *c, const char *path)
{
	rcpt_notify(c, path, 0);
}

/* The words of the primary, or 0. */
static int say_rcpt(struct client *c, const char *path)
{
	unsigned had = c->rcpts;

	rcpt(c, path);
	WAIT_FOR(c->w, c->rcpts > had);
	return c->rcpt.fate == FATE_WORDS ? c->rcpt.words.code : 0;
}

static void send_content(struct client *c, const char *text)
{
	relay_data(c->relay);
	relay_feed(c->relay, span_str(text));
	relay_end(c->relay);
}

static int say_content(struct client *c, const char *text)
{
	send_content(c, text);
	WAIT_FOR(c->w, c->ended == 1);
	return c->end.fate == FATE_WORDS ? c->end.words.code : 0;
}

static void leave(struct client *c)
{
	relay_free(&c->relay);
}

static int whole(struct world *w, const char *path)
{
	struct client c;
	int code;

	come(&c, w);
	code = say_rcpt(&c, path);
	if (code == 250)
		code = say_content(&c, "Subject: x\r\n\r\nhello\r\n");
	leave(&c);
	return code;
}

static struct dest *dest_of(struct world *w, const char *domain)
{
	return domain_find(w->drain, span_str(domain))->dest;
}

/* ---- Over its connections ---- */

Test(drain_lane, one_connection_for_one_after_the_other)
{
	struct world w;
	struct client c;

	world_begin(&w, "", peer_by_name);
	for (int i = 0; i < 5; i++)
		cr_expect_eq(whole(&w, "u@d0.example"), 250);
	cr_expect_eq(whole(&w, "u@d1.example"), 250, "of one destination");
	cr_expect_eq(w.peer->message_count, 6);
	cr_expect_eq(w.peer->connections, 1);
	come(&c, &w);
	cr_expect_eq(say_rcpt(&c, "no@d0.example"), 550);
	cr_expect_eq(say_rcpt(&c, "later@d0.example"), 0);
	cr_expect_eq(c.rcpt.words.code, 450);
	cr_expect_eq(say_rcpt(&c, "u@d0.example"), 250);
	cr_expect_eq(say_rcpt(&c, "u@d2.example"), 250, "they go along");
	cr_expect_eq(say_rcpt(&c, "u@away.example"), 0, "they do not");
	cr_expect_eq(say_content(&c, "hello\r\n"), 250);
	leave(&c);
	cr_expect_eq(world_state(&w, "d0.example"), DRAIN_UP);
	cr_expect_eq(world_queued(&w), 0);
	world_end(&w);
}

/* At whatever stage he leaves, the primary has nothing, and its connection is
 * used again where it can be. */
Test(drain_lane, the_client_leaves)
{
	struct world w;

	world_begin(&w, "", peer_by_name);
	for (int at = 0; at < 4; at++) {
		struct client c;

		come(&c, &w);
		if (at == 0) {
			rcpt(&c, "u@d0.example");
		} else {
			cr_expect_eq(say_rcpt(&c, "u@d0.example"), 250);
		}
		if (at >= 2)
			relay_data(c.relay);
		if (at >= 3) {
			relay_feed(c.relay, SPAN_LIT("half of it"));
			WAIT_FOR(&w, peer_saw(w.peer, "DATA") > 0);
		}
		leave(&c);
	}
	cr_expect_eq(whole(&w, "u@d0.example"), 250);
	cr_expect_eq(w.peer->message_count, 1);
	cr_expect_eq(dest_of(&w, "d0.example")->lanes.losses, 0);
	world_end(&w);
}

/* What a client's message may do to a connection is no outage; a pause follows
 * when nothing goes well between. */
Test(drain_lane, losses)
{
	static const char *const paths[] = { "lost@d0.example",
					     "leaves@d0.example" };
	struct world w;

	world_begin(&w, "", peer_by_name);
	for (int i = 0; i < 8; i++) {
		cr_expect_eq(whole(&w, paths[i % 2]), 0);
		cr_expect_eq(world_state(&w, "d0.example"), DRAIN_UP);
		cr_expect_eq(whole(&w, "u@d0.example"), 250);
	}
	for (int i = 0; i < LANE_LOSSES_MAX; i++) {
		cr_expect(drain_may_answer(w.drain, SPAN_LIT("d0.example")));
		cr_expect_eq(whole(&w, paths[0]), 0);
	}
	cr_expect(!drain_may_answer(w.drain, SPAN_LIT("d0.example")));
	cr_expect_eq(world_state(&w, "d0.example"), DRAIN_UP);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

/* That no connection can be made is an outage, whoever finds it. */
Test(drain_lane, an_outage_is_found)
{
	struct world w;

	world_begin(&w, "drain = { probe_max = \"1s\"; };", peer_by_name);
	cr_expect_eq(whole(&w, "u@d0.example"), 250);
	peer_stop(w.peer);
	peer_say(w.peer, PEER_CLOSE);
	WAIT_FOR(&w, dest_of(&w, "d0.example")->lanes.links == 0);
	cr_expect(drain_may_answer(w.drain, SPAN_LIT("d0.example")));
	cr_expect_eq(whole(&w, "u@d0.example"), 0);
	cr_expect_eq(world_state(&w, "d0.example"), DRAIN_DOWN);
	cr_expect(!drain_may_answer(w.drain, SPAN_LIT("d0.example")));
	world_send_one(&w, "u@d0.example");
	peer_start(w.peer);
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(whole(&w, "u@d0.example"), 250);
	cr_expect_eq(w.peer->message_count, 3);
	world_end(&w);
}

Test(drain_lane, nobody_was_ever_there)
{
	struct world w;
	struct client c;

	world_begin(&w, "", peer_by_name);
	cr_expect(drain_may_answer(w.drain, SPAN_LIT("away.example")));
	come(&c, &w);
	cr_expect_eq(say_rcpt(&c, "u@away.example"), 0);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	cr_expect_eq(c.rcpt.stage, RELAY_CONNECT);
	leave(&c);
	cr_expect(!drain_may_answer(w.drain, SPAN_LIT("away.example")));
	world_end(&w);
}

/* As many as drain.connections, one more for each that went well. */
Test(drain_lane, how_many)
{
	struct world w;
	struct client c[3], late;

	world_begin(&w, "drain = { connections = 3; };", peer_by_name);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(whole(&w, "u@d0.example"), 250);
	cr_expect_eq(dest_of(&w, "d0.example")->lanes.limit, 3);
	for (size_t i = 0; i < COUNT(c); i++) {
		come(&c[i], &w);
		cr_expect_eq(say_rcpt(&c[i], "u@d0.example"), 250);
	}
	come(&late, &w);
	cr_expect_eq(say_rcpt(&late, "u@d0.example"), 0, "after a second");
	cr_expect_eq(late.rcpt.fate, FATE_JUDGED);
	leave(&late);
	/* mail has its own */
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	/* one that ends is the next one's */
	come(&late, &w);
	rcpt(&late, "u@d0.example");
	cr_expect_eq(say_content(&c[0], "x\r\n"), 250);
	WAIT_FOR(&w, late.rcpts == 1);
	cr_expect_eq(late.rcpt.words.code, 250);
	leave(&late);
	for (size_t i = 0; i < COUNT(c); i++)
		leave(&c[i]);
	world_end(&w);
}

static struct lane *carried(struct world *w)
{
	return LIST_FIRST(&dest_of(w, "d0.example")->links)->lane;
}

/* Its client took so much longer. */
static void be_slow(struct world *w, int64_t ms)
{
	WAIT_FOR(w, carried(w)->carrier->delivery->dry_ms > 0);
	carried(w)->carrier->delivery->dry_ms -= ms;
}

/* A client that does nothing keeps none from those that do; what it has still
 * to say is kept. */
Test(drain_lane, an_idle_client_loses_it)
{
	struct world w;
	struct client idle, c;

	world_begin(&w, "drain = { connections = 1; };", peer_by_name);
	come(&idle, &w);
	cr_expect_eq(say_rcpt(&idle, "u@d0.example"), 250);
	come(&c, &w);
	cr_expect_eq(say_rcpt(&c, "u@d0.example"), 0, "it is not idle yet");
	leave(&c);
	be_slow(&w, LANE_IDLE_MS);
	come(&c, &w);
	cr_expect_eq(say_rcpt(&c, "u@d0.example"), 250);
	cr_expect(!ev_is_active(&LIST_FIRST(&dest_of(&w, "d0.example")->links)
					 ->lane->deadline),
		  "it waits no more");
	cr_expect_eq(say_content(&c, "x\r\n"), 250);
	leave(&c);
	cr_expect_eq(say_content(&idle, "x\r\n"), 0);
	cr_expect_eq(idle.end.fate, FATE_KEPT);
	leave(&idle);
	cr_expect_eq(w.peer->message_count, 1);
	world_end(&w);
}

/* A little now and then, recipients or content, is not enough; the primary's
 * time is not the client's. */
Test(drain_lane, a_slow_client_loses_it)
{
	struct world w;
	struct client slow, c;

	world_begin(&w, "drain = { connections = 1; };", peer_by_name);
	for (int is_content = 0; is_content < 2; is_content++) {
		come(&slow, &w);
		cr_expect_eq(say_rcpt(&slow, "u@d0.example"), 250);
		be_slow(&w, LANE_IDLE_MS * 2 / 3);
		if (is_content) {
			relay_data(slow.relay);
			relay_feed(slow.relay, SPAN_LIT("x"));
		} else {
			cr_expect_eq(say_rcpt(&slow, "v@d0.example"), 250);
		}
		be_slow(&w, LANE_IDLE_MS * 2 / 3);
		cr_expect_eq(whole(&w, "u@d0.example"), 250);
		leave(&slow);
	}
	come(&slow, &w);
	rcpt(&slow, "hang@d0.example");
	WAIT_FOR(&w, peer_saw(w.peer, "RCPT TO:<hang@") == 1);
	cr_expect_eq(carried(&w)->carrier->delivery->dry_ms, 0);
	come(&c, &w);
	cr_expect_eq(say_rcpt(&c, "u@d0.example"), 0);
	cr_expect_eq(slow.rcpts, 0);
	leave(&c);
	leave(&slow);
	world_end(&w);
}

/* What is known of the primary's own time, on a good day. */
Test(drain_lane, latency)
{
	struct world w;
	struct client c;
	int64_t good_ms;

	world_begin(&w, "", peer_by_name);
	cr_expect_eq(whole(&w, "no@d0.example"), 550);
	cr_expect_eq(dest_of(&w, "d0.example")->mtargets[0].good_ms, 0);
	come(&c, &w);
	cr_expect_eq(say_rcpt(&c, "u@d0.example"), 250);
	be_slow(&w, SECONDS(50));
	carried(&w)->job->started_ms -= SECONDS(50);
	cr_expect_eq(say_content(&c, "x\r\n"), 250);
	leave(&c);
	good_ms = dest_of(&w, "d0.example")->mtargets[0].good_ms;
	cr_expect(good_ms > 0 && good_ms < SECONDS(50), "%lld ms",
		  (long long)good_ms);
	world_end(&w);
}

/* It waits for a reply that does not come: nobody else goes over that. */
Test(drain_lane, one_that_hangs)
{
	struct world w;
	struct client c;

	world_begin(&w, "", peer_by_name);
	come(&c, &w);
	rcpt(&c, "hang@d0.example");
	WAIT_FOR(&w, peer_saw(w.peer, "RCPT TO:<hang@") == 1);
	relay_is_overdue(c.relay);
	WAIT_FOR(&w, c.rcpts == 1);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	cr_expect_eq(c.rcpt.event, PRIMARY_SILENT);
	cr_expect_eq(dest_of(&w, "d0.example")->lanes.losses, 1);
	WAIT_FOR(&w, w.peer->open == 0);
	leave(&c);
	cr_expect_eq(whole(&w, "u@d0.example"), 250);
	world_end(&w);
}

/* What is said to it between two mails, too. */
static const char *hello_hangs(struct peer *p, const char *line, void *arg)
{
	(void)arg;
	return strncmp(line, "EHLO", 4) == 0 && p->message_count > 1
		       ? PEER_HANG
		       : NULL;
}

Test(drain_lane, one_that_hangs_while_others_wait)
{
	struct world w;
	struct client c, next;

	world_begin(&w, "drain = { connections = 1; };", hello_hangs);
	cr_expect_eq(whole(&w, "u@d0.example"), 250);
	cr_expect_eq(whole(&w, "u@d0.example"), 250);
	come(&c, &w);
	rcpt(&c, "u@d0.example");
	WAIT_FOR(&w, peer_saw(w.peer, "EHLO") > 1);
	come(&next, &w);
	rcpt(&next, "u@d0.example");
	relay_is_overdue(c.relay);
	WAIT_FOR(&w, c.rcpts == 1 && next.rcpts == 1);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	cr_expect_eq(next.rcpt.fate, FATE_JUDGED);
	leave(&c);
	leave(&next);
	world_end(&w);
}

/* Who wants to hear of his delivery needs a server with DSN. */
Test(drain_lane, what_the_server_lacks)
{
	struct world w;
	struct client c;

	world_begin(&w, "", peer_by_name);
	come(&c, &w);
	rcpt_notify(&c, "u@d0.example", SMTP_NOTIFY_SUCCESS);
	WAIT_FOR(&w, c.rcpts == 1);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	cr_expect_eq(say_rcpt(&c, "v@d0.example"), 250);
	rcpt_notify(&c, "w@d0.example", SMTP_NOTIFY_SUCCESS);
	WAIT_FOR(&w, c.rcpts == 3);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	cr_expect_eq(say_content(&c, "x\r\n"), 250);
	cr_expect_eq(peer_saw(w.peer, "RCPT"), 1);
	leave(&c);
	world_end(&w);
}

/* Larger than it said it takes, and not said before. */
Test(drain_lane, size)
{
	static char text[60 * 1024];
	struct world w;
	struct client c;

	memset(text, 'x', sizeof(text));
	world_begin(&w, "", peer_by_name);
	come(&c, &w);
	cr_expect_eq(say_rcpt(&c, "u@d0.example"), 250);
	relay_data(c.relay);
	relay_feed(c.relay, span_of(text, sizeof(text)));
	relay_feed(c.relay, span_of(text, sizeof(text)));
	relay_end(c.relay);
	WAIT_FOR(&w, c.ended == 1);
	cr_expect_eq(c.end.words.code, 552);
	leave(&c);
	cr_expect_eq(whole(&w, "u@d0.example"), 250);
	cr_expect_eq(w.peer->message_count, 1);
	world_end(&w);
}

static void expect_none(struct world *w, unsigned char network)
{
	struct client c;

	come_from(&c, w, network);
	cr_expect_eq(say_rcpt(&c, "u@d0.example"), 0, "network %u", network);
	leave(&c);
}

/* No network has more than is left for all others, nor takes theirs. */
Test(drain_lane, shares_of_networks)
{
	struct world w;
	struct client a[3], b, own, c;

	world_begin(&w, "drain = { connections = 4; };", peer_by_name);
	for (int i = 0; i < 8; i++)
		cr_expect_eq(whole(&w, "u@d0.example"), 250);
	cr_expect_eq(dest_of(&w, "d0.example")->lanes.limit, 4);
	come_from(&b, &w, 202);
	cr_expect_eq(say_rcpt(&b, "u@d0.example"), 250);
	be_slow(&w, LANE_IDLE_MS);
	come_from(&a[0], &w, 201);
	cr_expect_eq(say_rcpt(&a[0], "u@d0.example"), 250);
	come_from(&a[1], &w, 201);
	rcpt(&a[1], "u@d0.example");
	WAIT_FOR(&w, a[1].rcpts == 1);
	cr_expect_eq(a[1].rcpt.words.code, 250);
	expect_none(&w, 201); /* the slow one is not of its network */
	come_from(&own, &w, 202);
	cr_expect_eq(say_rcpt(&own, "u@d0.example"), 250, "but of this one");
	leave(&own);
	expect_none(&w, 201); /* there is a free one now, for others */
	come_from(&c, &w, 203);
	cr_expect_eq(say_rcpt(&c, "u@d0.example"), 250);
	/* what it gives back it may have again */
	come_from(&a[2], &w, 201);
	rcpt(&a[2], "u@d0.example");
	cr_expect_eq(say_content(&a[0], "x\r\n"), 250);
	WAIT_FOR(&w, a[2].rcpts == 1);
	cr_expect_eq(a[2].rcpt.words.code, 250);
	for (size_t i = 0; i < COUNT(a); i++)
		leave(&a[i]);
	leave(&b);
	leave(&c);
	cr_expect_null(dest_of(&w, "d0.example")->lanes.nets);
	world_end(&w);
}

/* Half of all connections are for mail that waits: nor does one that it has
 * left idle become a client's beyond that. */
Test(drain_lane, half_of_all)
{
	struct world w;
	struct client c, late;

	world_begin(&w, "drain = { connections = 3; };", peer_by_name);
	drain_free(&w.drain);
	w.most_links = 2;
	world_start_drain(&w);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(whole(&w, "u@d0.example"), 250);
	come(&c, &w);
	cr_expect_eq(say_rcpt(&c, "u@d0.example"), 250);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	come(&late, &w);
	cr_expect_eq(say_rcpt(&late, "u@d0.example"), 0);
	cr_expect_eq(w.drain->lane_links, 1);
	leave(&late);
	leave(&c);
	world_end(&w);
}

/* With everything under way. */
Test(drain_lane, the_end)
{
	struct world w;
	struct client c[4];

	world_begin(&w, "", peer_by_name);
	for (size_t i = 0; i < COUNT(c); i++)
		come(&c[i], &w);
	cr_expect_eq(say_rcpt(&c[0], "u@d0.example"), 250);
	send_content(&c[0], "x\r\n");
	rcpt(&c[1], "hang@d0.example");
	rcpt(&c[2], "u@away.example");
	rcpt(&c[3], "u@d1.example");
	drain_stop(w.drain);
	peer_run(w.loop, &(bool){ false }, 50);
	cr_expect_eq(c[0].end.words.code, 250, "it is finished");
	for (size_t i = 0; i < COUNT(c); i++)
		leave(&c[i]);
	world_end(&w);
}

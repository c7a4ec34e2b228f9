/*
 * A hostile primary and its client: what is said of mail that is relayed.
 *
 * The first byte chooses how far the server goes and what it offers, then each
 * byte is a step: the client says something, some of what the server said
 * arrives, a reply is chosen, or the connection is hurt.
 *
 *  exact  one reply to each command, whatever it says
 *  raw    bytes at any time
 *
 * - Each recipient is answered once, and the content once; what is told is in
 *   the table (daemon/relay/table.h), and its words are a line of SMTP.
 * - The server has the end of a content if the client sent it, and not if he
 *   left before.
 * - If exact: words are those for this recipient, or for all of his mail; a
 *   yes to the content is said where the server had it for everybody who heard
 *   yes, and nothing is kept that it took, but in doubt.
 */
#include "daemon/relay/relay.h"

#include "common/base/assert.h"
#include "common/base/log.h"
#include "tests/fuzz/door.h"
#include "tests/fuzz/fakeconn.h"
#include "tests/fuzz/far.h"
#include "tests/fuzz/fuzz.h"

static const char *const replies[] = {
	NULL, /* as it should be */
	"450 4.2.1 Busy",	    "550 5.1.1 Unknown",
	"421 4.3.2 Leaving",	    "452 4.5.3 Too many",
	"554 5.7.1 Not from you",   "250 2.1.5 Ok",
	"354 Go on",		    "500 5.5.2 What?",
	"503 5.5.1 Order",	    "555 5.5.4 Option",
	"250-2.0.0 T\x01o\r\n250 2.0.0 Lines", "552 5.3.4 Large",
	"251 2.1.5 Elsewhere",	    "550",
};

/* A transaction of the client. */
struct mail {
	struct envelope env;
	char from[32];
	size_t asked; /* recipients */
	bool told_yes[FAR_RCPTS];
	struct far_mail *far; /* what the server knows of it */
};

static struct {
	bool is_exact;
	struct ev_loop *loop;
	const struct relay_door *door;
	struct relay *relay;
	struct mail mails[FAR_MAILS];
	size_t count;
	bool is_asking, is_in_content, is_at_end;
} w;

static struct mail *now(void)
{
	FUZZ_CHECK(w.count > 0);
	return &w.mails[w.count - 1];
}

/* ---- The client ---- */

static void check_words(const struct relay_said *said, int rcpt)
{
	char line[VERDICT_LINE_MAX];
	struct far_serial was;
	struct span s;

	if (said->words.code == 0)
		return;
	s = verdict_line(&said->words, line);
	FUZZ_CHECK(s.n > 6 && s.n < VERDICT_LINE_MAX);
	for (size_t i = 0; i + 2 < s.n; i++)
		FUZZ_CHECK(s.p[i] >= ' ' && s.p[i] <= '~');
	if (!far_knows(span_str(said->words.text), &was))
		return;
	FUZZ_CHECK(was.mail < 0 || was.mail == (int)w.count - 1);
	FUZZ_CHECK(was.rcpt < 0 || rcpt < 0 || was.rcpt == rcpt);
}

static void on_rcpt(const struct relay_said *said, void *arg)
{
	struct mail *m = now();
	size_t i = m->asked - 1;

	FUZZ_CHECK(arg == m && w.is_asking);
	w.is_asking = false;
	FUZZ_CHECK(said->fate == FATE_WORDS || said->fate == FATE_KEPT ||
		   said->fate == FATE_JUDGED);
	check_words(said, (int)i);
	if (said->fate != FATE_WORDS)
		return;
	FUZZ_CHECK(said->words.code / 100 == 2 || said->words.code / 100 == 5);
	m->told_yes[i] = said->words.code / 100 == 2;
	FUZZ_CHECK(!w.is_exact || !m->told_yes[i] || m->far->is_taken[i]);
}

static void over(void)
{
	w.is_asking = w.is_in_content = w.is_at_end = false;
	relay_free(&w.relay);
}

static void on_end_told(const struct relay_said *said, void *arg)
{
	const struct mail *m = now();
	bool is_yes = said->fate == FATE_WORDS && said->words.code < 400;

	FUZZ_CHECK(arg == m && w.is_at_end);
	FUZZ_CHECK(said->fate == FATE_WORDS || said->fate == FATE_KEPT ||
		   said->fate == FATE_DOUBT);
	check_words(said, -1);
	for (size_t i = 0; w.is_exact && i < FAR_RCPTS; i++) {
		bool has = m->far->has_it[i];

		FUZZ_CHECK(!is_yes || !m->told_yes[i] || has);
		FUZZ_CHECK(is_yes || said->fate == FATE_DOUBT || !has);
	}
	over();
}

static void on_free_room(void *arg)
{
	FUZZ_CHECK(arg == now());
}

static const struct relay_listener listener = { on_rcpt, on_free_room,
						on_end_told };

static void come(void)
{
	struct mail *m = &w.mails[w.count];

	if (w.relay != NULL || w.count == FAR_MAILS)
		return;
	snprintf(m->from, sizeof(m->from), "f%zu@sender.test", w.count++);
	m->env.from = span_str(m->from);
	m->far = &far_mails[m - w.mails];
	w.relay = relay_new(&(struct relay_options){
		.loop = w.loop,
		.door = w.door,
		.env = &m->env,
		.listener = &listener,
		.arg = m,
	});
}

/* Another recipient, of one domain or the other. */
static void say_rcpt(unsigned how)
{
	char path[32];

	come();
	if (w.relay == NULL || w.is_asking || w.is_in_content || w.is_at_end ||
	    now()->asked == FAR_RCPTS)
		return;
	snprintf(path, sizeof(path), "t%zu-%zu@d%u.test", now()->asked,
		 w.count - 1, how % 8 == 7);
	if (!relay_may(w.door, w.relay, span_str(strchr(path, '@') + 1)))
		return;
	now()->far->rcpts = ++now()->asked;
	w.is_asking = true;
	relay_rcpt(w.relay,
		   &(struct recipient){
			   .path = span_str(path),
			   .domain = span_str(strchr(path, '@') + 1),
		   });
}

static void say_content(unsigned how)
{
	struct buf *content;
	size_t was;

	if (w.relay == NULL || w.is_asking || w.is_at_end ||
	    !relay_has_rcpts(w.relay))
		return;
	if (!w.is_in_content)
		relay_data(w.relay);
	w.is_in_content = true;
	if (relay_is_full(w.relay))
		return;
	content = &now()->far->content;
	was = content->n;
	for (unsigned i = 0; i < (how == 31 ? 6000 : how); i++)
		buf_adds(content, i % 3 == 1 ? ".\r\n" : "QUIT\r\n");
	relay_feed(w.relay, span_skip(buf_span(content), was));
}

static void say_end(void)
{
	say_content(1);
	if (!w.is_in_content || w.is_at_end)
		return;
	now()->far->is_all = w.is_at_end = true;
	relay_end(w.relay);
}

static void hurt(unsigned how)
{
	static const enum conn_end ends[] = { CONN_EOF, CONN_ERROR,
					      CONN_DEADLINE };

	if (how < 2 && fake_live() != NULL)
		fake_block(how == 0);
	else if (how < 5 && fake_live() != NULL)
		fake_end(ends[how - 2]);
	else if (how == 5)
		door_refuse(how);
	else if (how == 6 && w.relay != NULL)
		over(); /* the client leaves */
	else if (w.relay != NULL && (w.is_asking || w.is_at_end))
		relay_is_overdue(w.relay);
}

/* ---- All of it ---- */

static void turn(void)
{
	for (int i = 0; i < 3; i++) {
		ev_run(w.loop, EVRUN_NOWAIT);
		door_give();
	}
}

static void step(struct span *in)
{
	unsigned byte = fuzz_byte(in), how = byte >> 3;
	struct span raw = { in->p, in->n < how + 1 ? in->n : how + 1 };

	switch (byte & 7) {
	case 0:
		say_rcpt(how);
		break;
	case 1:
		door_serve(how == 31 ? SIZE_MAX : how + 1);
		break;
	case 2:
		far_choose(how);
		break;
	case 3:
		door_serve(SIZE_MAX);
		break;
	case 4:
		say_content(how);
		break;
	case 5:
		say_end();
		break;
	case 6:
		hurt(how & 7);
		break;
	default:
		if (w.is_exact)
			break;
		*in = span_skip(*in, raw.n);
		far_say(raw);
		door_serve(SIZE_MAX);
	}
	turn();
}

/* The server is a good one again: what is asked is answered. */
static void finish(void)
{
	far_choose_nothing();
	for (int i = 0; i < 40 && (w.is_asking || w.is_at_end); i++) {
		door_serve(SIZE_MAX);
		if (fake_live() != NULL && !fake_is_waiting())
			fake_block(false);
		turn();
	}
	if (w.relay != NULL && (w.is_asking || w.is_at_end)) {
		relay_is_overdue(w.relay);
		turn();
	}
	FUZZ_CHECK(!w.is_asking && !w.is_at_end);
	if (w.relay != NULL)
		over();
	door_close();
}

static void clean(void)
{
	struct ev_loop *loop = w.loop;

	far_clean();
	memset(&w, 0, sizeof(w));
	w.loop = loop;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const offers[] = {
		"250 8BITMIME",
		"250 PIPELINING",
		"250-PIPELINING\r\n250 SIZE 66000",
		"250-PIPELINING\r\n250 LIMITS MAILMAX=3 "
		"RCPTMAX=2",
	};
	struct span in = span_of(data, size);
	unsigned how = fuzz_byte(&in);

	log_set_level(LOG_LEVEL_ERROR);
	if (w.loop == NULL)
		w.loop = ev_loop_new(0);
	w.is_exact = how % 2 == 0;
	w.door = door_open(w.loop);
	far_begin(&(struct far_options){
		.mode = w.is_exact ? FAR_EXACT : FAR_RAW,
		.ehlo = offers[how >> 1 & 3],
		.replies = replies,
		.reply_count = COUNT(replies),
	});
	for (int i = 0; i < 8; i++) {
		door_serve(SIZE_MAX);
		turn();
	}
	while (in.n > 0)
		step(&in);
	finish();
	clean();
	return 0;
}

/*
 * mx20ctl top: where mail waits to go, live.  Between two keys it asks the
 * daemon (top_feed.h) and paints what there is (top_view.h).
 */
#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/select.h"
#include "daemon/ctl/top_view.h"

enum { STEP_MS = 50, PAINT_MS = 1000, ESCAPE = 27 };

struct top {
	const struct ctl *ctl;
	struct top_feed feed;
	struct top_view view;
	/* what is asked before it is done; verb NULL: nothing */
	const char *verb, *key;
	struct buf name;
	bool is_over;
};

static volatile sig_atomic_t was_told_to_leave;

static void on_signal(int signum)
{
	(void)signum;
	was_told_to_leave = 1;
}

/* ---- Painting ---- */

static void paint_line(int row, struct span line, bool is_marked)
{
	if (is_marked)
		attron(A_REVERSE);
	move(row, 0);
	addnstr(line.p, (int)line.n);
	if (is_marked) {
		for (int x = getcurx(stdscr); getcury(stdscr) == row && x < COLS;
		     x++)
			addch(' ');
		attroff(A_REVERSE);
	}
}

static void paint(struct top *t)
{
	struct buf lines = { 0 };
	size_t marked, row = 0;
	struct span rest;

	top_view_lines(&t->view, &t->feed, (size_t)LINES, (size_t)COLS,
		       clock_wall_ms(), &lines, &marked);
	erase();
	for (rest = buf_span(&lines); rest.n > 0 && row < (size_t)LINES; row++)
		paint_line((int)row, span_cut(&rest, '\n'),
			   row == marked || (row == 0 && t->feed.trouble.n > 0));
	refresh();
	buf_fini(&lines);
}

/* ---- Orders ---- */

static void say(struct top *t, struct span text)
{
	buf_reset(&t->view.message);
	buf_add(&t->view.message, text);
}

static void say_answer(struct top *t, const json_t *end)
{
	struct buf b = { 0 };

	if (end == NULL) {
		buf_adds(&b, "mx20d does not answer: whether it was done is not "
			     "known");
	} else if (!control_get_bool(end, "ok")) {
		buf_addf(&b, "%s: ", t->verb);
		buf_add(&b, control_get_text(end, "error"));
	} else {
		buf_addf(&b, "%s: ", t->verb);
		print_count(&b, (uint64_t)control_get_int(end, "count", 0),
			    "message");
	}
	say(t, buf_span(&b));
	buf_fini(&b);
}

static void give_order(struct top *t)
{
	json_t *o = json_pack("{s:s, s:o}", "verb", t->verb, t->key,
			      control_text(buf_span(&t->name)));
	json_t *item, *end;

	if (strcmp(t->verb, "hold") == 0)
		json_object_set_new(o, "reason",
				    json_string("by mx20ctl top"));
	selection_claim(o);
	end = top_feed_ask(&t->feed, o, &item);
	say_answer(t, end);
	json_decref(end);
	json_decref(item);
	t->verb = NULL;
	t->feed.next_ms = 0; /* what came of it is seen at once */
	t->feed.whole_ms = 0;
}

/* About the selected row: what is to be done, and to what. */
static bool choose(struct top *t, const char *verb)
{
	const struct top_row *r = top_view_row(&t->view, t->feed.rows);
	bool is_domain;

	if (r == NULL)
		return false;
	is_domain = !r->has_destination ||
		    (strcmp(verb, "release") == 0 &&
		     !span_eq(buf_span(&r->hold), SPAN_LIT("destination")));
	t->verb = verb;
	t->key = is_domain ? "domain" : "destination";
	buf_reset(&t->name);
	buf_add(&t->name, is_domain ? buf_span(&r->domain)
				    : buf_span(&r->name));
	return true;
}

static void key_flush(struct top *t)
{
	if (choose(t, "flush"))
		give_order(t);
}

static void key_hold(struct top *t)
{
	const struct top_row *r = top_view_row(&t->view, t->feed.rows);
	struct buf b = { 0 };

	if (r == NULL || !choose(t, r->hold.n > 0 ? "release" : "hold"))
		return;
	buf_addf(&b, "%s %s? y/n", t->verb, buf_cstr(&t->name));
	say(t, buf_span(&b));
	buf_fini(&b);
}

/* ---- Keys ---- */

static void key_show(struct top *t)
{
	const struct top_row *r = top_view_row(&t->view, t->feed.rows);
	json_t *end;

	if (t->view.page == TOP_SHOW || r == NULL) {
		t->view.page = TOP_LIST;
		return;
	}
	json_decref(t->view.shown);
	end = top_feed_ask(&t->feed,
			   json_pack("{s:s, s:o}", "verb", "domain", "domain",
				     control_text(buf_span(&r->domain))),
			   &t->view.shown);
	json_decref(end);
	t->view.page = TOP_SHOW;
}

static void key_help(struct top *t)
{
	t->view.page = t->view.page == TOP_HELP ? TOP_LIST : TOP_HELP;
}

static void key_order(struct top *t)
{
	t->view.order = (t->view.order + 1) % TOP_ORDERS;
	top_rows_sort(t->feed.rows, t->view.order);
}

static void key_quit(struct top *t)
{
	if (t->view.page == TOP_LIST)
		t->is_over = true;
	t->view.page = TOP_LIST;
}

static const struct {
	int key;
	void (*run)(struct top *t); /* NULL: it moves */
	int rows, pages;
} keys[] = {
	{ 'q', key_quit, 0, 0 },	{ ESCAPE, key_quit, 0, 0 },
	{ 's', key_show, 0, 0 },	{ '\r', key_show, 0, 0 },
	{ '\n', key_show, 0, 0 },	{ KEY_ENTER, key_show, 0, 0 },
	{ 'f', key_flush, 0, 0 },	{ 'h', key_hold, 0, 0 },
	{ 'o', key_order, 0, 0 },	{ '?', key_help, 0, 0 },
	{ KEY_DOWN, NULL, 1, 0 },	{ 'j', NULL, 1, 0 },
	{ KEY_UP, NULL, -1, 0 },	{ 'k', NULL, -1, 0 },
	{ KEY_NPAGE, NULL, 0, 1 },	{ ' ', NULL, 0, 1 },
	{ KEY_PPAGE, NULL, 0, -1 },	{ KEY_HOME, NULL, 0, -1000000 },
	{ KEY_END, NULL, 0, 1000000 },
};

static void on_key(struct top *t, int key)
{
	buf_reset(&t->view.message);
	if (t->verb != NULL) { /* it was asked whether */
		if (key == 'y')
			give_order(t);
		t->verb = NULL;
		return;
	}
	for (size_t i = 0; i < COUNT(keys); i++) {
		if (keys[i].key != key)
			continue;
		if (keys[i].run != NULL)
			keys[i].run(t);
		else
			top_view_move(&t->view, t->feed.rows,
				      keys[i].rows + (long)keys[i].pages *
							     (LINES > 6 ? LINES - 5
									: 1));
		return;
	}
}

/* ---- Life ---- */

static void run(struct top *t)
{
	int64_t painted_ms = 0;

	while (!t->is_over && !was_told_to_leave) {
		bool is_news = top_feed_step(&t->feed);
		int key;

		if (t->feed.is_refused)
			return;
		if (is_news || clock_mono_ms() - painted_ms >= PAINT_MS) {
			paint(t);
			painted_ms = clock_mono_ms();
		}
		key = getch();
		if (key == ERR)
			continue;
		if (key != KEY_RESIZE)
			on_key(t, key);
		painted_ms = 0;
	}
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction leave = { .sa_handler = on_signal };

	for (size_t i = 0; i < COUNT(signals); i++)
		sigaction(signals[i], &leave, NULL);
}

static bool open_screen(void)
{
	/* what is written is UTF-8, as by every verb */
	if (setlocale(LC_CTYPE, "") == NULL ||
	    strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
	if (newterm(NULL, stdout, stdin) == NULL)
		return false;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	set_escdelay(25);
	timeout(STEP_MS);
	return true;
}

enum ctl_exit ctl_top(struct ctl *ctl)
{
	struct top t = { .ctl = ctl };
	enum ctl_exit rc = CTL_DONE;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || ctl->json) {
		ctl_complain("top is for a terminal; see mx20ctl status");
		return CTL_USAGE;
	}
	if (!open_screen()) {
		ctl_complain("top: this kind of terminal is not known; TERM "
			     "says which it is");
		return CTL_FAILED;
	}
	catch_signals();
	top_feed_init(&t.feed, ctl);
	run(&t);
	endwin();
	if (t.feed.is_refused) {
		ctl_complain("%s", buf_cstr(&t.feed.trouble));
		rc = CTL_FAILED;
	}
	top_view_fini(&t.view);
	top_feed_fini(&t.feed);
	buf_fini(&t.name);
	return rc;
}

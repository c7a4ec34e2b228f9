#include "daemon/ctl/top_feed.h"

#include "common/base/clock.h"

enum {
	ANSWER_MS = 5000,
	REFRESH_MS = 1000, /* a walk begins no sooner behind the last */
	REST_TIMES = 4,	   /* as long as an answer took, nothing is asked; */
	REST_MAX_MS = 100, /* a machine that is slow for others is not ours */
};

void top_feed_init(struct top_feed *f, const struct ctl *ctl)
{
	*f = (struct top_feed){ .ctl = ctl,
				.link.fd = -1,
				.rows = top_rows_new() };
}

void top_feed_fini(struct top_feed *f)
{
	link_close(&f->link);
	top_rows_free(&f->rows);
	json_decref(f->overview);
	buf_fini(&f->after);
	buf_fini(&f->trouble);
}

/* ---- The connection ---- */

static void lose(struct top_feed *f)
{
	link_close(&f->link);
	top_rows_abort(f->rows);
	buf_reset(&f->after);
	if (f->trouble.n == 0) {
		buf_adds(&f->trouble, "mx20d stopped answering");
		f->lost_ms = clock_mono_ms();
	}
	f->next_ms = clock_mono_ms() + REFRESH_MS;
}

static bool connect_to(struct top_feed *f)
{
	struct buf why = { 0 };
	enum ctl_exit rc = link_open(&f->link, f->ctl, &why);

	f->is_refused = rc == CTL_FAILED;
	if (rc == CTL_DONE) {
		buf_reset(&f->trouble);
	} else {
		if (f->trouble.n == 0)
			f->lost_ms = clock_mono_ms();
		buf_reset(&f->trouble);
		buf_add(&f->trouble, buf_span(&why));
		link_close(&f->link);
		f->next_ms = clock_mono_ms() + REFRESH_MS;
	}
	buf_fini(&why);
	return rc == CTL_DONE;
}

/* The items of an answer are added to the list. */
static json_t *ask(struct top_feed *f, json_t *request, json_t *items)
{
	json_t *line;

	if (!link_send(&f->link, request)) {
		lose(f);
		return NULL;
	}
	while ((line = link_read(&f->link, ANSWER_MS)) != NULL) {
		if (json_object_get(line, "ok") != NULL)
			return line;
		if (json_object_get(line, "item") != NULL)
			json_array_append(items, json_object_get(line, "item"));
		json_decref(line);
	}
	lose(f);
	return NULL;
}

json_t *top_feed_ask(struct top_feed *f, json_t *request, json_t **item)
{
	json_t *items = json_array(), *end = NULL;

	if (f->link.fd >= 0)
		end = ask(f, request, items);
	else
		json_decref(request);
	*item = json_incref(json_array_get(items, 0));
	json_decref(items);
	return end;
}

/* ---- The walk ---- */

/* How much waits in all. */
static void ask_overview(struct top_feed *f)
{
	json_t *items = json_array();
	json_t *end = ask(f, json_pack("{s:s}", "verb", "overview"), items);

	json_decref(items);
	if (end == NULL)
		return;
	json_decref(f->overview);
	f->overview = end;
}

static void end_walk(struct top_feed *f)
{
	top_rows_end(f->rows);
	buf_reset(&f->after);
	f->whole_ms = f->walk_ms;
	f->walk_ms = 0;
}

static void ask_page(struct top_feed *f)
{
	json_t *request = json_pack("{s:s}", "verb", "domains");
	json_t *items = json_array(), *end;

	if (f->after.n > 0)
		json_object_set_new(request, "after",
				    control_text(buf_span(&f->after)));
	end = ask(f, request, items);
	if (end != NULL) {
		struct span next = control_get_text(end, "next");

		top_rows_add(f->rows, items);
		buf_reset(&f->after);
		buf_add(&f->after, next);
		if (next.n == 0)
			end_walk(f);
	}
	json_decref(end);
	json_decref(items);
}

static int64_t rest_ms(const struct top_feed *f, int64_t began_ms,
		       int64_t now_ms)
{
	int64_t rest = (now_ms - began_ms) * REST_TIMES;
	int64_t next_ms = now_ms + (rest < REST_MAX_MS ? rest : REST_MAX_MS);

	if (f->walk_ms == 0 && next_ms < f->whole_ms + REFRESH_MS)
		next_ms = f->whole_ms + REFRESH_MS;
	return next_ms;
}

bool top_feed_step(struct top_feed *f)
{
	int64_t began_ms = clock_mono_ms();
	bool is_news;

	if (began_ms < f->next_ms)
		return false;
	if (f->link.fd < 0 && !connect_to(f))
		return true;
	is_news = began_ms >= f->overview_ms + REFRESH_MS;
	if (is_news) {
		f->overview_ms = began_ms;
		ask_overview(f);
	}
	if (f->walk_ms == 0)
		f->walk_ms = began_ms;
	if (f->link.fd >= 0)
		ask_page(f);
	if (f->link.fd < 0) {
		f->walk_ms = 0;
		return true;
	}
	f->next_ms = rest_ms(f, began_ms, clock_mono_ms());
	return is_news || f->walk_ms == 0;
}

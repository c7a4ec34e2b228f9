#include "tests/support/drain_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/spool_audit.h"

/* What most tests are about is over at once, unless they say otherwise. */
static void add_settings(struct buf *text, const char *more)
{
	const char *at = strstr(more, "drain = {");
	size_t n = at != NULL ? (size_t)(at - more) + strlen("drain = {") : 0;

	if (strstr(more, "bounce = {") == NULL)
		buf_adds(text, "bounce = { mode = \"dsn\"; };");
	buf_add(text, (struct span){ more, n });
	if (strstr(more, "brake_window") == NULL)
		buf_adds(text, n > 0 ? "brake_window = \"0\";"
				     : "drain = { brake_window = \"0\"; };");
	buf_adds(text, more + n);
}

static void load_config(struct world *w, const char *more)
{
	struct config_errors errors = { 0 };
	struct buf text = { 0 };

	buf_adds(&text, "hostname = \"mx2.example.net\"; domains = \"domains\";"
			"dns = { servers = [ \"127.0.0.1@1\" ]; };"
			"spool = { path = \"spool\"; size = \"256M\";"
			" reserve = \"1M\"; };");
	add_settings(&text, more);
	folder_write(&w->folder, "mx20.conf", buf_cstr(&text));
	buf_reset(&text);
	for (int i = 0; i < DOMAINS; i++)
		buf_addf(&text,
			 "d%d.example recipients=* tls=none "
			 "primary=[127.0.0.1]:%u\n",
			 i, (unsigned)w->peer->addr.port);
	buf_adds(&text, "away.example recipients=* primary=[127.0.0.1]:1\n");
	buf_addf(&text,
		 "*.any.example recipients=* tls=none "
		 "primary=[127.0.0.1]:%u\n",
		 (unsigned)w->peer->addr.port);
	folder_write(&w->folder, "domains", buf_cstr(&text));
	buf_fini(&text);
	w->config = config_load(folder_path(&w->folder, "mx20.conf"), &errors);
	cr_assert_not_null(w->config, "%s", buf_cstr(&errors.text));
	config_errors_fini(&errors);
}

void world_start_drain(struct world *w)
{
	struct drain_options opt = { .loop = w->loop,
				     .spool = w->spool,
				     .router = w->router,
				     .config = w->config,
				     .proof = w->proof,
				     .most_links = w->most_links };

	w->drain = drain_new(&opt);
}

void world_begin(struct world *w, const char *conf, peer_reply *reply)
{
	struct spool_options so;
	struct router_options ro = { 0 };
	struct buf why = { 0 };

	memset(w, 0, sizeof(*w));
	w->sender = "a@sender.example";
	w->client = "";
	w->lifetime_ms = DAYS(1);
	w->loop = ev_loop_new(0);
	folder_make(&w->folder);
	w->popt.ehlo = "PIPELINING\nSIZE 100000\nENHANCEDSTATUSCODES";
	w->popt.reply = reply;
	w->popt.arg = w;
	w->peer = peer_new(w->loop, &w->popt);
	load_config(w, conf);
	so = (struct spool_options){ .path = folder_path(&w->folder, "spool"),
				     .size_bytes = 1 << 28,
				     .reserve_bytes = 1 << 20 };
	cr_assert_eq(spool_open(&w->spool, w->loop, &so, &why), MX_OK, "%s",
		     buf_cstr(&why));
	ro.loop = w->loop;
	ro.config = w->config;
	cr_assert_eq(router_new(&w->router, &ro, &why), MX_OK, "%s",
		     buf_cstr(&why));
	buf_fini(&why);
	world_start_drain(w);
}

void world_end(struct world *w)
{
	bool never = false;
	struct buf why = { 0 };

	drain_free(&w->drain);
	peer_run(w->loop, &never, 50);
	cr_expect(spool_audit(w->spool, &why), "%s", buf_cstr(&why));
	buf_fini(&why);
	router_free(&w->router);
	spool_close(&w->spool);
	peer_free(&w->peer);
	config_unref(&w->config);
	folder_remove(&w->folder);
	ev_loop_destroy(w->loop);
}

static void on_commit(enum mx_err err, uint64_t id, void *arg)
{
	struct world *w = arg;

	(void)id;
	cr_assert_eq(err, MX_OK);
	w->committed = true;
}

struct config *world_shorter_list(struct world *w)
{
	struct config *other;
	struct config_errors errors = { 0 };

	folder_write(&w->folder, "other", "d1.example recipients=*\n");
	folder_write(&w->folder, "other.conf",
		     "hostname = \"mx2.example.net\"; domains = \"other\";"
		     "spool = { path = \"spool\"; size = \"256M\";"
		     " reserve = \"1M\"; };");
	other = config_load(folder_path(&w->folder, "other.conf"), &errors);
	cr_assert_not_null(other, "%s", buf_cstr(&errors.text));
	config_errors_fini(&errors);
	return other;
}

void world_send(struct world *w, const char *const *paths, size_t count)
{
	struct spool_draft *d;
	struct envelope env = { .from = span_str(w->sender),
				.arrived_ms = clock_wall_ms() - w->age_ms,
				.client_addr = span_str(w->client),
				.is_dsn = w->are_reports };
	struct spool_rcpt rcpts[DOMAINS] = { 0 };

	for (size_t i = 0; i < count; i++) {
		rcpts[i].path = span_str(paths[i]);
		rcpts[i].domain = span_str(strchr(paths[i], '@') + 1);
		rcpts[i].notify = w->notify;
		rcpts[i].expires_ms = clock_wall_ms() + w->lifetime_ms;
		if (w->warn_after_ms > 0)
			rcpts[i].warn_ms = clock_wall_ms() + w->warn_after_ms;
	}
	cr_assert_eq(spool_draft_new(w->spool, clock_wall_ms(), 0, &d), MX_OK);
	spool_draft_write(d, SPAN_LIT("Subject: x\r\n\r\nhello\r\n"));
	w->committed = false;
	spool_commit(&d, &env, rcpts, count, on_commit, w);
	cr_assert(peer_run(w->loop, &w->committed, 5000));
}

void world_send_one(struct world *w, const char *path)
{
	world_send(w, &path, 1);
}

uint64_t world_queued(struct world *w)
{
	struct spool_totals t;

	cr_assert_eq(spool_totals(w->spool, &t), MX_OK);
	return t.messages;
}

enum drain_state world_state(struct world *w, const char *domain)
{
	struct status_destination st;

	drain_status(w->drain, span_str(domain), &st);
	for (int s = DRAIN_UNKNOWN; s < DRAIN_DOWN; s++)
		if (strcmp(st.state, drain_state_name((enum drain_state)s)) ==
		    0)
			return (enum drain_state)s;
	return DRAIN_DOWN;
}

struct spool_domain world_row(struct world *w, const char *domain)
{
	struct spool_domain row;

	if (spool_domain_get(w->spool, span_str(domain), &row) != MX_OK)
		memset(&row, 0, sizeof(row));
	return row;
}

/*
 * mx20ctl mirror: which copies there are, which nodes, and whose mail was taken
 * over.  mirror take NODE, mirror leave: orders for maintenance.
 */
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/ctl/link.h"
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/table.h"

/* ---- Text ---- */

/* clang-format off */
static const struct column columns[] = {
	{ "NODE",     false, 8, 0 },
	{ "STATE",    false, 0, 0 },
	{ "LEASE",    true,  0, 3 },
	{ "MSGS",     true,  0, 0 },
	{ "TAKEN",    true,  0, 2 },
	{ "TAKEN BY", false, 8, 1 },
	{ "SEEN",     true,  0, 4 },
	{ "VERSION",  false, 0, 5 },
};
/* clang-format on */

static void cell(struct table *t, struct buf *b)
{
	table_cell(t, buf_span(b));
	buf_reset(b);
}

static void add_number(struct table *t, const json_t *o, const char *key)
{
	struct buf b = { 0 };

	buf_addf(&b, "%lld", (long long)control_get_int(o, key, 0));
	cell(t, &b);
	buf_fini(&b);
}

/* What is left of it, or since when it is over. */
static void add_lease(struct table *t, const json_t *o)
{
	const int64_t left_s = control_get_int(o, "lease_left_s", 0);
	struct buf b = { 0 };

	if (left_s < 0)
		buf_addc(&b, '-');
	print_age(&b, SECONDS(left_s < 0 ? -left_s : left_s));
	cell(t, &b);
	buf_fini(&b);
}

/* is_old: what is known of the others was heard before the database was lost. */
static void add_node(struct table *t, const json_t *o, int64_t now_ms,
		     bool is_old)
{
	const int64_t seen_ms = print_get_time(o, "seen");
	struct buf b = { 0 };

	buf_add(&b, control_get_text(o, "node"));
	if (control_get_bool(o, "self"))
		buf_adds(&b, " *");
	cell(t, &b);
	if (is_old) {
		table_cell(t, SPAN_LIT("?"));
		table_cell(t, SPAN_LIT("?"));
	} else {
		table_cell(t, control_get_text(o, "state"));
		add_lease(t, o);
	}
	add_number(t, o, "messages");
	add_number(t, o, "taken");
	table_cell(t, control_get_text(o, "taken_by"));
	if (seen_ms != 0)
		print_age(&b, now_ms - seen_ms);
	cell(t, &b);
	table_cell(t, control_get_text(o, "version"));
	buf_fini(&b);
}

static void add_nodes(const struct ctl *ctl, const json_t *m, struct buf *out)
{
	const json_t *nodes = json_object_get(m, "nodes");
	const bool is_old =
		span_eq(control_get_text(m, "state"), SPAN_LIT("away"));
	const int64_t at_ms = print_get_time(m, "nodes_at");
	struct table t;

	if (at_ms == 0) {
		buf_adds(out, "nodes     not known: the database has not been "
			      "asked yet\n");
		return;
	}
	buf_adds(out, "nodes     as of ");
	print_age(out, ctl->now_ms - at_ms);
	buf_adds(out, is_old ? " ago, and nothing newer is known of them\n\n"
			     : " ago\n\n");
	table_init(&t, columns, COUNT(columns), ctl->width);
	for (size_t i = 0; i < json_array_size(nodes); i++)
		add_node(&t, json_array_get(nodes, i), ctl->now_ms, is_old);
	table_print(&t, out);
	table_fini(&t);
	buf_adds(out, "* is this node\n");
}

static void add_server(const json_t *m, struct buf *out)
{
	const struct span server = control_get_text(m, "server");

	if (server.n == 0)
		return;
	buf_addf(out, "database  PostgreSQL %.*s; %s\n", SPAN_ARG(server),
		 control_get_bool(m, "synchronous")
			 ? "what it commits is on a standby, too"
			 : "no synchronous standby");
}

static bool has_left(const json_t *m)
{
	return span_eq(control_get_text(m, "state"), SPAN_LIT("left"));
}

static void add_own_lease(const json_t *m, struct buf *out)
{
	const int64_t left_s = control_get_int(m, "lease_left_s", 0);

	buf_adds(out, "lease     ");
	if (left_s > 0 && !has_left(m)) {
		print_age(out, SECONDS(left_s));
		buf_adds(out, " of ");
		print_age(out, SECONDS(control_get_int(m, "lease_s", 0)));
		buf_adds(out, " left");
	} else if (has_left(m)) {
		buf_adds(out, "given back");
	} else {
		buf_adds(out, left_s < 0 ? "over" : "none yet");
	}
	buf_addf(out, "; without the database: %.*s\n",
		 SPAN_ARG(control_get_text(m, "when_away")));
}

/* What moved between nodes since the start. */
static void add_moves(const json_t *m, struct buf *out)
{
	const int64_t taken = control_get_int(m, "taken_over", 0);
	const int64_t dropped = control_get_int(m, "dropped", 0);

	if (taken == 0 && dropped == 0)
		return;
	buf_adds(out, "moved     ");
	print_count(out, (uint64_t)taken, "message");
	buf_adds(out, " taken over since the start, ");
	buf_addf(out, "%lld dropped, as others had taken them\n",
		 (long long)dropped);
}

static void print_mirror(const struct ctl *ctl, const json_t *m)
{
	const int64_t since_ms = print_get_time(m, "since");
	struct buf out = { 0 };

	buf_addf(&out, "%.*s, node of the mirror\nstate     ",
		 SPAN_ARG(control_get_text(m, "node")));
	mirror_show_state(m, ctl->now_ms, &out);
	if (since_ms != 0) {
		buf_adds(&out, " (for ");
		print_age(&out, ctl->now_ms - since_ms);
		buf_addc(&out, ')');
	}
	buf_addc(&out, '\n');
	add_server(m, &out);
	add_own_lease(m, &out);
	add_moves(m, &out);
	mirror_show_nodes(m, "nodes     ", &out);
	add_nodes(ctl, m, &out);
	ctl_write(buf_span(&out));
	buf_fini(&out);
}

/* ---- Orders ---- */

/* clang-format off */
static const struct order {
	const char *word, *verb;
	bool needs_node;
	const char *ask; /* behind the node */
	const char *done;
} orders[] = {
	{ "take", "mirror_take", true,
	  ": take its mail over?  It must be dead for certain.",
	  " of it to take over; what is there already: mx20ctl status" },
	{ "leave", "mirror_leave", false,
	  "Hand all mail over, and accept none before a restart?",
	  " handed over, for the other nodes to take; this one accepts no mail"
	  " before it is started again, and can be stopped" },
};
/* clang-format on */

static const struct order *order_find(const char *word)
{
	for (size_t i = 0; i < COUNT(orders); i++)
		if (strcmp(orders[i].word, word) == 0)
			return &orders[i];
	return NULL;
}

static void print_order(const struct ctl *ctl, const struct order *o,
			json_t *end)
{
	struct buf out = { 0 };

	if (ctl->json) {
		ctl_print_json(json_incref(end));
		return;
	}
	print_count(&out, (uint64_t)control_get_int(end, "messages", 0),
		    "message");
	buf_addf(&out, "%s\n", o->done);
	ctl_write(buf_span(&out));
	buf_fini(&out);
}

/* ---- The verb ---- */

static void print_end(const struct ctl *ctl, const struct order *o, json_t *end)
{
	json_object_del(end, "ok");
	if (o != NULL)
		print_order(ctl, o, end);
	else if (ctl->json)
		ctl_print_json(json_incref(end));
	else
		print_mirror(ctl, end);
}

static enum ctl_exit ask(const struct ctl *ctl, const struct order *o,
			 const char *node)
{
	struct link link;
	json_t *end = NULL;
	enum ctl_exit rc = link_need(&link, ctl);

	if (rc == CTL_DONE) {
		end = link_ask(&link,
			       json_pack("{s:s, s:o, s:b}", "verb",
					 o != NULL ? o->verb : "mirror", "node",
					 control_text(span_str(node)), "force",
					 (int)ctl->force),
			       NULL, NULL);
		rc = end != NULL ? CTL_DONE : CTL_UNREACHABLE;
	}
	if (end != NULL && !control_get_bool(end, "ok")) {
		ctl_complain("mirror: %.*s",
			     SPAN_ARG(control_get_text(end, "error")));
		rc = CTL_FAILED;
	} else if (end != NULL) {
		print_end(ctl, o, end);
	}
	link_close(&link);
	json_decref(end);
	return rc;
}

static enum ctl_exit misused(void)
{
	ctl_complain("usage: mx20ctl mirror [take NODE|leave [--force]]");
	return CTL_USAGE;
}

enum ctl_exit ctl_mirror(struct ctl *ctl)
{
	const struct order *o;
	struct buf question = { 0 };
	const char *node = "";
	enum ctl_exit rc;

	if (ctl->argument_count == 0)
		return ask(ctl, NULL, "");
	o = order_find(ctl->argument);
	if (o == NULL || ctl->argument_count != (o->needs_node ? 2 : 1))
		return misused();
	if (o->needs_node)
		node = ctl->arguments[1];
	buf_addf(&question, "%s%s", node, o->ask);
	if (ctl_agrees(ctl, buf_cstr(&question))) {
		rc = ask(ctl, o, node);
	} else {
		ctl_complain("nothing was done");
		rc = CTL_FAILED;
	}
	buf_fini(&question);
	return rc;
}

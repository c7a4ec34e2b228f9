/*
 * The digest as a message: multipart/alternative (RFC 2046 section 5.1.4).
 *
 *   header          From, To, Subject, Auto-Submitted ...
 *   --boundary      text/plain
 *   --boundary      text/html, the same
 *   --boundary--
 *
 * Both are quoted-printable: short lines, ASCII alone, and "=_" of the boundary
 * cannot occur in them.
 */
#include "daemon/report/digest.h"

#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/msgid.h"
#include "common/mail/header.h"
#include "daemon/report/digest_priv.h"

enum {
	GROUPS_SHOWN = 20,
	NAMES_SHOWN = 5,
	REPLY_BYTES = 300,
	NAME_BYTES = 80,
	OUTAGE_BYTES = 100,
	/* for what stands around the groups: header, text, outages, commands */
	REST_BYTES = 24 * 1024,
};

/* ---- Words ---- */

static void say(struct page *p, void (*as)(struct page *, struct span),
		struct buf *b)
{
	as(p, buf_span(b));
	buf_reset(b);
}

static void add_head(struct page *p, const struct digest *d, struct buf *b)
{
	buf_addf(b, "Mail for %.*s that its mail server refused",
		 SPAN_ARG(d->domain));
	say(p, page_heading, b);
	buf_addf(b, "%.*s is the backup mail server of %.*s. ",
		 SPAN_ARG(d->hostname), SPAN_ARG(d->domain));
	digest_count(b, d->messages, "message");
	buf_adds(b, " for ");
	digest_count(b, d->recipients, "recipient");
	buf_addf(b,
		 " that it had accepted did not get through: your own mail "
		 "server refused them, or did not take them in time. Nobody "
		 "could be told, since it is not proven that their senders are "
		 "who they say. So they are kept for you to decide, and then "
		 "go without a word: the first on ");
	digest_time(b, d->first_end_ms);
	buf_adds(b, " UTC.");
	if (d->before > 0) {
		buf_adds(b, " Still here are ");
		digest_count(b, d->before, "message");
		buf_adds(b, " of the days before, of which you were told.");
	}
	say(p, page_paragraph, b);
	buf_adds(b, "This is about the time until ");
	digest_time(b, d->about.until_ms);
	buf_adds(b, " UTC. What your server refused of mail whose sender "
		    "could be told is not in it.");
	say(p, page_paragraph, b);
}

/* ---- Groups ---- */

static int by_count(const void *pa, const void *pb)
{
	uint64_t a = (*(struct digest_group *const *)pa)->recipients;
	uint64_t b = (*(struct digest_group *const *)pb)->recipients;

	return a == b ? 0 : a > b ? -1 : 1;
}

static int by_name_count(const void *pa, const void *pb)
{
	uint64_t a = ((const struct digest_name *)pa)->count;
	uint64_t b = ((const struct digest_name *)pb)->count;

	return a == b ? 0 : a > b ? -1 : 1;
}

/* "from: a@x.example (12), <>, and 7 others" */
static void add_names(struct buf *b, const char *what,
		      struct digest_name *names, size_t count, uint64_t others)
{
	qsort(names, count, sizeof(*names), by_name_count);
	buf_addf(b, "%s: ", what);
	for (size_t i = 0; i < count; i++) {
		struct span name = buf_span(&names[i].name);

		if (i >= NAMES_SHOWN) {
			others += names[i].count;
			continue;
		}
		if (i > 0)
			buf_adds(b, ", ");
		digest_clean(b, name.n > 0 ? name : SPAN_LIT("<>"), NAME_BYTES);
		if (names[i].count > 1) {
			buf_adds(b, " (");
			digest_number(b, names[i].count);
			buf_addc(b, ')');
		}
	}
	if (others > 0) {
		buf_adds(b, ", and ");
		digest_number(b, others);
		buf_adds(b, " with other addresses");
	}
}

static void add_reply(struct buf *b, const struct digest_group *g)
{
	static const char *const why[] = {
		[FAILURE_REFUSED] = "",
		[FAILURE_EXPIRED] = "Not taken in time; the last answer: ",
		[FAILURE_UNFIT] = "Could not be sent there: ",
	};
	struct span reply = buf_span(&g->reply);

	buf_adds(b, why[g->failure]);
	digest_clean(b, reply.n > 0 ? reply : SPAN_LIT("(nothing was said)"),
		     REPLY_BYTES);
}

static void add_group(struct page *p, struct digest_group *g)
{
	struct buf b[4] = { { 0 } }, number = { 0 };
	struct span lines[4];

	digest_number(&number, g->recipients);
	add_reply(&b[0], g);
	add_names(&b[1], "from", g->from, g->from_count, g->from_others);
	add_names(&b[2], "to", g->to, g->to_count, g->to_others);
	buf_adds(&b[3], "the first: mx20ctl show ");
	msg_id_add(&b[3], g->first_id);
	for (size_t i = 0; i < COUNT(b); i++)
		lines[i] = buf_span(&b[i]);
	page_row(p, buf_span(&number), lines, COUNT(lines));
	for (size_t i = 0; i < COUNT(b); i++)
		buf_fini(&b[i]);
	buf_fini(&number);
}

static size_t encoded_size(const struct page *p)
{
	struct buf b = { 0 };
	size_t n;

	digest_encode(&b, buf_span(&p->plain));
	digest_encode(&b, buf_span(&p->html));
	n = b.n;
	buf_fini(&b);
	return n;
}

/* As many as there is room for; the number of recipients in the others. */
static uint64_t add_groups(struct page *p, struct digest *d)
{
	size_t left = DIGEST_BYTES_MAX - REST_BYTES, i = 0;
	uint64_t others = d->other_recipients;

	qsort(d->groups, d->group_count, sizeof(struct digest_group *),
	      by_count);
	for (; i < d->group_count && i < GROUPS_SHOWN; i++) {
		struct page one = { 0 };
		size_t n;

		add_group(&one, d->groups[i]);
		n = encoded_size(&one);
		if (n <= left) {
			buf_add(&p->plain, buf_span(&one.plain));
			buf_add(&p->html, buf_span(&one.html));
			left -= n;
		}
		page_fini(&one);
		if (n > left && i > 0)
			break;
	}
	for (; i < d->group_count; i++)
		others += d->groups[i]->recipients;
	return others;
}

static void add_table(struct page *p, struct digest *d, struct buf *b)
{
	uint64_t others;

	page_table(p, "WHAT WAS SAID");
	others = add_groups(p, d);
	page_table_end(p);
	if (others == 0)
		return;
	buf_adds(b, "And ");
	digest_number(b, others);
	buf_addf(b, " more: mx20ctl refused %.*s", SPAN_ARG(d->domain));
	say(p, page_paragraph, b);
}

/* ---- Outages ---- */

static void add_outage(struct page *p, const struct digest *d, size_t i,
		       struct buf *b)
{
	struct outage o;

	if (!outage_get(buf_span(&d->outage_keys[i]),
			buf_span(&d->outage_values[i]), &o))
		return;
	digest_time(b, o.began_ms);
	buf_adds(b, " UTC, for ");
	digest_lasted(b,
		      (o.ended_ms != 0 ? o.ended_ms : d->now_ms) - o.began_ms);
	buf_adds(b, o.ended_ms != 0 ? ": " : " so far: ");
	if (o.messages > 0) {
		digest_count(b, o.messages, "message");
		buf_adds(b, " waited. ");
	}
	digest_clean(b, o.destination, OUTAGE_BYTES);
	if (o.reply.n > 0)
		buf_adds(b, ": ");
	digest_clean(b, o.reply, OUTAGE_BYTES);
	say(p, page_paragraph, b);
}

static void add_outages(struct page *p, const struct digest *d, struct buf *b)
{
	if (d->outage_count == 0)
		return;
	page_heading(p, SPAN_LIT("When your mail server did not answer"));
	for (size_t i = 0; i < d->outage_count; i++)
		add_outage(p, d, i, b);
	if (d->outages_left_out == 0)
		return;
	buf_adds(b, "And ");
	digest_number(b, d->outages_left_out);
	buf_addf(b, " more: mx20ctl outages %.*s", SPAN_ARG(d->domain));
	say(p, page_paragraph, b);
}

/* ---- What can be done ---- */

static void add_commands(struct page *p, const struct digest *d, struct buf *b)
{
	static const struct {
		const char *command, *what;
		bool has_domain;
	} rows[] = {
		{ "mx20ctl refused ", "lists all of it", true },
		{ "mx20ctl show ID", "one message whole", false },
		{ "mx20ctl release ID", "tries it again", false },
		{ "mx20ctl release --domain ",
		  "tries everything again that waits or was refused", true },
		{ "mx20ctl bounce ID",
		  "returns it to its sender, whoever that is", false },
		{ "mx20ctl remove ID", "forgets it at once", false },
	};

	page_heading(p, SPAN_LIT("What can be done"));
	buf_addf(b, "By whoever runs %.*s, there:", SPAN_ARG(d->hostname));
	say(p, page_paragraph, b);
	for (size_t i = 0; i < COUNT(rows); i++) {
		buf_adds(b, rows[i].command);
		if (rows[i].has_domain)
			buf_add(b, d->domain);
		page_command(p, buf_span(b), rows[i].what);
		buf_reset(b);
	}
}

/* ---- The message ---- */

static void add_header(const struct digest *d, uint64_t id, uint64_t nonce,
		       struct buf *out)
{
	buf_adds(out, "Date: ");
	mail_date_add(out, d->now_ms);
	buf_addf(out,
		 "\r\nFrom: \"Mail Delivery System (%.*s)\"\r\n"
		 " <MAILER-DAEMON@%.*s>\r\nTo: <postmaster@%.*s>\r\nSubject: ",
		 SPAN_ARG(d->hostname), SPAN_ARG(d->hostname),
		 SPAN_ARG(d->domain));
	digest_count(out, d->messages, "message");
	buf_addf(out,
		 " refused for\r\n %.*s\r\nMessage-ID: ", SPAN_ARG(d->domain));
	mail_message_id_add(out, id, nonce, d->hostname);
	/* RFC 3834 section 5: no answer to anything */
	buf_addf(out,
		 "\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		 "Content-Type: multipart/alternative;\r\n"
		 " boundary=\"=_mx20_%016llx\"\r\n",
		 (unsigned long long)nonce);
}

static void add_part(struct buf *out, uint64_t nonce, const char *type,
		     const struct buf *text)
{
	buf_addf(out,
		 "\r\n--=_mx20_%016llx\r\n"
		 "Content-Type: text/%s; charset=utf-8\r\n"
		 "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
		 (unsigned long long)nonce, type);
	digest_encode(out, buf_span(text));
}

void digest_build(struct digest *d, uint64_t id, uint64_t nonce,
		  struct buf *out)
{
	struct page p = { 0 };
	struct buf b = { 0 };
	size_t start = out->n;

	MX_ASSERT(d->messages > 0);
	add_head(&p, d, &b);
	add_table(&p, d, &b);
	add_outages(&p, d, &b);
	add_commands(&p, d, &b);
	page_end(&p);
	add_header(d, id, nonce, out);
	add_part(out, nonce, "plain", &p.plain);
	add_part(out, nonce, "html", &p.html);
	buf_addf(out, "\r\n--=_mx20_%016llx--\r\n", (unsigned long long)nonce);
	MX_ASSERT(out->n - start <= DIGEST_BYTES_MAX);
	page_fini(&p);
	buf_fini(&b);
}

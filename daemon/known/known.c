#include "daemon/known/known.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/smtp/reply.h"
#include "daemon/known/known_priv.h"
#include "daemon/known/recent.h"

/* ---- Looking ---- */

static bool is_of_domain(const struct spool_known *row)
{
	return row->what == KNOWN_SELECTIVE || row->what == KNOWN_CATCH_ALL;
}

/* What it was found to be last, however long ago: in an outage there is nothing
 * newer. */
bool known_is_catch_all(struct known *k, struct span domain)
{
	struct known_key key = key_of(k, domain, SPAN_LIT(""));
	struct spool_known row;

	return row_get(k, &key, &row) && row.what == KNOWN_CATCH_ALL;
}

static void tell(struct known *k, const struct spool_known *row,
		 uint64_t destination, int64_t now_ms, struct known_fact *out)
{
	int64_t left = row_limit_ms(k, row) -
		       row_age_ms(k, row, destination, now_ms);

	out->is = row->what == KNOWN_YES ? FACT_YES : FACT_NO;
	out->is_asked = row->is_asked;
	out->since_ms = row->at_ms;
	out->expires_ms = now_ms + left;
	if (downtime_is_down(k->downtime, row->destination) &&
	    (destination == 0 || destination == row->destination))
		out->expires_ms = 0;
	snprintf(out->reply, sizeof(out->reply), "%s", row->reply);
}

static bool look(struct known *k, struct span domain, struct span local,
		 int64_t now_ms, struct known_fact *out)
{
	struct known_key key = key_of(k, domain, local);
	struct spool_known row;
	uint64_t destination;

	if (!trial_look(k, domain, &key, &row) &&
	    (!row_get(k, &key, &row) || is_of_domain(&row)))
		return false;
	destination = row_destination(k, domain);
	if (!row_is_fresh(k, &row, destination, now_ms))
		return false;
	tell(k, &row, destination, now_ms, out);
	return true;
}

/* As for lists: what stands before any of the delimiters may be the user.  That
 * there is no "user" does not say that there is no "user+tag". */
static bool is_user(struct known *k, struct span domain, struct span local,
		    char delimiter, int64_t now_ms, struct known_fact *out)
{
	while (local.n > 1)
		if (local.p[--local.n] == delimiter &&
		    look(k, domain, local, now_ms, out) && out->is == FACT_YES)
			return true;
	return false;
}

void known_look(struct known *k, struct span domain, struct span local,
		char delimiter, int64_t now_ms, struct known_fact *out)
{
	*out = (struct known_fact){ 0 };
	if (known_is_catch_all(k, domain) ||
	    look(k, domain, local, now_ms, out))
		return;
	if (delimiter == 0 ||
	    !is_user(k, domain, local, delimiter, now_ms, out))
		*out = (struct known_fact){ 0 };
}

/* ---- Learning ---- */

/*
 * The recipient's address (RFC 3463 section 3.2).  5.1.7 and 5.1.8 are about
 * that of the sender, and Postfix has 5.1.0 for a sender who is nobody: those
 * are said to RCPT as well.
 */
static bool is_about_recipient(const char *enhanced)
{
	static const char *const senders[] = { "5.1.0", "5.1.7", "5.1.8",
					       "5.1.9" };

	for (size_t i = 0; i < COUNT(senders); i++)
		if (strcmp(enhanced, senders[i]) == 0)
			return false;
	return strncmp(enhanced, "5.1.", 4) == 0;
}

/* Of nothing in particular: then it is the code that says that there is no such
 * mailbox (RFC 5321 section 4.2.3), if nothing else can be meant. */
static bool is_no(const struct smtp_reply *r, bool is_sender_nobody)
{
	if (r->code != 550 && r->code != 551 && r->code != 553)
		return false;
	return r->enhanced[0] == '\0' ? is_sender_nobody
				      : is_about_recipient(r->enhanced);
}

static enum known_said meaning(struct span text, bool is_sender_nobody)
{
	enum known_said said = SAID_NOTHING;
	struct smtp_reply r = { 0 };

	if (smtp_reply_is_made(text) || smtp_reply_parse(text, &r) != MX_OK)
		said = SAID_NOTHING;
	else if (r.code / 100 == 2)
		said = SAID_YES;
	else if (is_no(&r, is_sender_nobody))
		said = SAID_NO;
	smtp_reply_fini(&r);
	return said;
}

enum known_said known_meaning(struct span reply)
{
	return meaning(reply, true);
}

enum known_said known_meaning_from(struct span reply, struct span sender)
{
	return meaning(reply, sender.n == 0);
}

/* Nothing new: it is not written again before a sixteenth of its time. */
static bool is_news(struct known *k, const struct known_key *key,
		    const struct spool_known *row, struct spool_known *was)
{
	*was = (struct spool_known){ .what = KNOWN_NO };
	return !row_get(k, key, was) || was->what != row->what ||
	       was->destination != row->destination ||
	       row_age_ms(k, was, row->destination, row->at_ms) >
		       row_limit_ms(k, row) / 16;
}

static bool is_of_use(const struct known *k, struct span domain)
{
	const struct config_domain *d =
		domains_find(k->config->domains, domain);

	return d != NULL && d->verify;
}

static void note_no(struct known *k, struct span domain,
		    const struct known_key *key, const struct spool_known *row,
		    const struct spool_known *was)
{
	struct recent_no no = { .key = *key,
				.destination = row->destination,
				.at_ms = row->at_ms };

	if (was->what == KNOWN_YES) {
		no.yes_ms = was->at_ms;
		no.yes_down_ms = was->down_ms;
	}
	recent_add(&k->recent, &no, domain);
}

void known_learn(struct known *k, struct span domain, struct span local,
		 struct span destination, bool is_yes, bool is_asked,
		 struct span reply, int64_t now_ms)
{
	struct spool_known row = {
		.what = is_yes ? KNOWN_YES : KNOWN_NO,
		.is_asked = is_asked,
		.at_ms = now_ms,
		.destination = key_destination(k, destination),
	};
	struct spool_known was;
	struct known_key key;

	if (k->is_stopped || !is_of_use(k, domain))
		return;
	row.down_ms = downtime_total(k->downtime, row.destination, now_ms);
	snprintf(row.reply, sizeof(row.reply), "%.*s", SPAN_ARG(reply));
	key = key_of(k, domain, local);
	if (!is_news(k, &key, &row, &was))
		return;
	if (!is_yes)
		note_no(k, domain, &key, &row, &was);
	trial_learn(k, domain, &key, &row, now_ms);
}

void known_doubt(struct known *k, struct span domain, struct span destination,
		 int64_t since_ms)
{
	const uint64_t at = key_destination(k, destination);
	struct recent_no no;

	while (recent_take(k->recent, domain, at, since_ms, &no)) {
		struct spool_known yes = { .what = KNOWN_YES,
					   .at_ms = no.yes_ms,
					   .down_ms = no.yes_down_ms,
					   .destination = at };

		trial_forget(k, span_str(no.domain), &no.key);
		if (no.yes_ms != 0)
			row_put(k, &no.key, &yes);
		else
			row_forget(k, &no.key);
		free(no.domain);
	}
}

void known_forget(struct known *k, struct span domain, struct span local)
{
	struct known_key key = key_of(k, domain, local);

	trial_forget(k, domain, &key);
	row_forget(k, &key);
}

void known_note_state(struct known *k, struct span destination, bool is_down,
		      int64_t now_ms)
{
	downtime_note(k->downtime, key_destination(k, destination), is_down,
		      now_ms);
}

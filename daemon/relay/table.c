/*
 * The table.  Rows: how far the transaction is at the primary.  Columns: what
 * the primary does.
 *
 *            2yz      4yz      421      5yz      silence  closed
 *  connect   on       judged   judged   judged   judged   judged
 *  MAIL      on       kept     judged   words    judged   judged
 *  RCPT      words    kept     judged   words    judged   judged
 *  DATA      on       kept     kept     words    kept     kept
 *  content   kept     kept     kept     words    kept     kept
 *  dot       words    kept     kept     words    doubt    doubt
 *
 *  on      the next stage
 *  words   the primary's own reply goes to the client: its 250 or its 5yz are
 *          the end of it, and nothing is kept
 *  kept    whom we list, know, or whom the primary has just taken: 250, and the
 *          mail is in the spool; it is delivered from there as all mail is.
 *          Anybody else: the primary's 4yz goes to the client, nothing is kept
 *  judged  the same for the former; of anybody else the primary said nothing,
 *          so what we know decides, as in an outage: 250, 4yz or 5yz
 *  doubt   as kept, and the primary may have it, too (RFC 1047): it is sent
 *          again, since a loss is worse than a duplicate, and the log says so
 *
 * Before DATA it is the fate of one recipient, and from then on that of all
 * whom the primary had taken: every one of those is vouched for by its word.
 * Where "kept" finds no room in the spool the client hears a 4yz, and nothing
 * is kept anywhere.
 *
 * 2yz in the middle of content is an answer to something that was not asked:
 * the two sides do not understand each other.  5yz to the greeting or to EHLO
 * (RFC 5321 section 3.1) is no word about the mail.  After 421 nothing was
 * executed (section 3.8), so there is no doubt then.
 *
 * What the client does is in no cell: until the end of its content has come
 * nothing of it can be at the primary, which has not had that end; leaving,
 * RSET or a time-out take all of it back.  Between its end and the reply it may
 * leave, too; then it has no answer, and sends the mail again, as with any
 * server.
 */
#include "daemon/relay/table.h"

#include "common/base/assert.h"

#define ROW(yes, later, leaves, never, silent, closed)                         \
	{                                                                      \
		[PRIMARY_YES] = FATE_##yes, [PRIMARY_LATER] = FATE_##later,    \
		[PRIMARY_LEAVES] = FATE_##leaves,                              \
		[PRIMARY_NEVER] = FATE_##never,                                \
		[PRIMARY_SILENT] = FATE_##silent,                              \
		[PRIMARY_CLOSED] = FATE_##closed,                              \
	}
/* clang-format off */
static const enum relay_fate fates[RELAY_STAGES][PRIMARY_EVENTS] = {
	[RELAY_CONNECT] = ROW(ON,    JUDGED, JUDGED, JUDGED, JUDGED, JUDGED),
	[RELAY_MAIL]    = ROW(ON,    KEPT,   JUDGED, WORDS,  JUDGED, JUDGED),
	[RELAY_RCPT]    = ROW(WORDS, KEPT,   JUDGED, WORDS,  JUDGED, JUDGED),
	[RELAY_DATA]    = ROW(ON,    KEPT,   KEPT,   WORDS,  KEPT,   KEPT),
	[RELAY_CONTENT] = ROW(KEPT,  KEPT,   KEPT,   WORDS,  KEPT,   KEPT),
	[RELAY_DOT]     = ROW(WORDS, KEPT,   KEPT,   WORDS,  DOUBT,  DOUBT),
};
/* clang-format on */

enum relay_fate relay_fate(enum relay_stage s, enum relay_event e)
{
	MX_ASSERT(s < RELAY_STAGES && e < PRIMARY_EVENTS);
	return fates[s][e];
}

static enum relay_answer keep(bool can_keep)
{
	return can_keep ? ANSWER_250 : ANSWER_LATER;
}

enum relay_answer relay_answer(enum relay_fate f, bool is_vouched,
			       bool can_keep)
{
	switch (f) {
	case FATE_ON:
		return ANSWER_NONE;
	case FATE_WORDS:
		return ANSWER_WORDS;
	case FATE_KEPT:
		return is_vouched ? keep(can_keep) : ANSWER_LATER;
	case FATE_JUDGED:
		return is_vouched ? keep(can_keep) : ANSWER_JUDGE;
	case FATE_DOUBT:
		break;
	}
	return keep(can_keep);
}

const char *relay_stage_name(enum relay_stage s)
{
	static const char *const names[RELAY_STAGES] = {
		[RELAY_CONNECT] = "connect", [RELAY_MAIL] = "mail",
		[RELAY_RCPT] = "rcpt",	     [RELAY_DATA] = "data",
		[RELAY_CONTENT] = "content", [RELAY_DOT] = "dot",
	};

	return names[s];
}

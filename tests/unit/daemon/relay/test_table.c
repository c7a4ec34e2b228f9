/* Every cell. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/relay/table.h"

enum { ON = FATE_ON, WORDS = FATE_WORDS, KEPT = FATE_KEPT,
       JUDGED = FATE_JUDGED, DOUBT = FATE_DOUBT };

/* yes, later, leaves, never, silent, closed */
static const int table[RELAY_STAGES][PRIMARY_EVENTS] = {
	{ ON, JUDGED, JUDGED, JUDGED, JUDGED, JUDGED },
	{ ON, KEPT, JUDGED, WORDS, JUDGED, JUDGED },
	{ WORDS, KEPT, JUDGED, WORDS, JUDGED, JUDGED },
	{ ON, KEPT, KEPT, WORDS, KEPT, KEPT },
	{ KEPT, KEPT, KEPT, WORDS, KEPT, KEPT },
	{ WORDS, KEPT, KEPT, WORDS, DOUBT, DOUBT },
};

Test(relay_table, every_cell)
{
	for (int s = 0; s < RELAY_STAGES; s++)
		for (int e = 0; e < PRIMARY_EVENTS; e++)
			cr_expect_eq((int)relay_fate(s, e), table[s][e],
				     "%s, event %d", relay_stage_name(s), e);
}

/* Whatever happens, the client hears one of: the primary's word, 250 with the
 * mail in the spool, a 4yz with nothing kept; and somebody nobody vouches for
 * has nothing in the spool, unless the gate lets him. */
Test(relay_table, what_the_client_hears)
{
	static const struct {
		enum relay_fate fate;
		enum relay_answer vouched, full, stranger;
	} cases[] = {
		{ FATE_ON, ANSWER_NONE, ANSWER_NONE, ANSWER_NONE },
		{ FATE_WORDS, ANSWER_WORDS, ANSWER_WORDS, ANSWER_WORDS },
		{ FATE_KEPT, ANSWER_250, ANSWER_LATER, ANSWER_LATER },
		{ FATE_JUDGED, ANSWER_250, ANSWER_LATER, ANSWER_JUDGE },
		{ FATE_DOUBT, ANSWER_250, ANSWER_LATER, ANSWER_250 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		enum relay_fate f = cases[i].fate;

		cr_expect_eq(relay_answer(f, true, true), cases[i].vouched);
		cr_expect_eq(relay_answer(f, true, false), cases[i].full);
		cr_expect_eq(relay_answer(f, false, true), cases[i].stranger);
	}
}

/* No doubt about what the primary did not have the end of, or said no to. */
Test(relay_table, a_duplicate_only_behind_the_dot)
{
	for (int s = 0; s < RELAY_STAGES; s++)
		for (int e = 0; e < PRIMARY_EVENTS; e++)
			if (relay_fate(s, e) == FATE_DOUBT)
				cr_expect(s == RELAY_DOT &&
					  e >= PRIMARY_SILENT);
}

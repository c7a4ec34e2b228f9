#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/check/refusal.h"

/* Words of servers that people run, as they print them. */
Test(refusal, what_a_reply_means)
{
	static const struct {
		bool is_mail;
		int code;
		const char *enhanced, *text;
		enum refusal why;
	} cases[] = {
		{ false, 250, "2.1.5", "250 2.1.5 Ok", REFUSAL_NONE },
		{ false, 451, "", "451 Greylisted, please try again in 300 s",
		  REFUSAL_GREYLIST },
		{ false, 450, "4.2.0",
		  "450 4.2.0 <a@b>: Recipient address rejected: Greylisted, see "
		  "http://postgrey.schweikert.ch/help/b.html",
		  REFUSAL_GREYLIST },
		{ false, 450, "4.3.2",
		  "450 4.3.2 Service currently unavailable",
		  REFUSAL_GREYLIST },
		{ false, 450, "4.7.1", "450 4.7.1 try later",
		  REFUSAL_GREYLIST },
		{ false, 554, "5.7.1",
		  "554 5.7.1 Service unavailable; Client host [192.0.2.1] "
		  "blocked using zen.spamhaus.org",
		  REFUSAL_BLOCKLIST },
		{ false, 550, "5.7.1",
		  "550 5.7.1 Your IP is on our blacklist", REFUSAL_BLOCKLIST },
		{ false, 550, "5.7.23", "550 5.7.23 rejected", REFUSAL_SPF },
		{ true, 550, "5.7.1",
		  "550 5.7.1 SPF unauthorized mail is prohibited.",
		  REFUSAL_SPF },
		{ false, 450, "4.7.25",
		  "450 4.7.25 Client host rejected: cannot find your hostname",
		  REFUSAL_REVERSE },
		{ false, 450, "4.7.1",
		  "450 4.7.1 Error: too many connections from 192.0.2.1",
		  REFUSAL_RATE },
		{ true, 530, "5.7.0",
		  "530 5.7.0 Must issue a STARTTLS command first",
		  REFUSAL_TLS },
		{ false, 554, "5.7.1", "554 5.7.1 <a@b>: Relay access denied",
		  REFUSAL_RELAY },
		{ false, 550, "", "550 relay not permitted", REFUSAL_RELAY },
		{ false, 553, "",
		  "553 sorry, that domain isn't in my list of allowed "
		  "rcpthosts",
		  REFUSAL_RELAY },
		{ false, 550, "5.1.1", "550 5.1.1 no", REFUSAL_UNKNOWN },
		{ false, 550, "", "550 Unrouteable address", REFUSAL_UNKNOWN },
		{ true, 550, "5.7.1", "550 5.7.1 no null sender",
		  REFUSAL_SENDER },
		{ false, 451, "4.3.0", "451 4.3.0 queue file write error",
		  REFUSAL_BUSY },
		{ false, 550, "5.7.1", "550 5.7.1 go away", REFUSAL_OTHER },
		/* parts of other words */
		{ false, 550, "", "550 spfoo herblist corporate",
		  REFUSAL_OTHER },
		/* a permanent no is no greylisting, whatever it says */
		{ false, 550, "", "550 greylisting is not done here",
		  REFUSAL_OTHER },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(refusal_of(cases[i].is_mail, cases[i].code,
					cases[i].enhanced,
					span_str(cases[i].text)),
			     cases[i].why, "%s", cases[i].text);
}

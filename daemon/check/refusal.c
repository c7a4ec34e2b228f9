#include "daemon/check/refusal.h"

#include <ctype.h>

#include "common/base/assert.h"

enum { ANY = 0, SOFT = 4, HARD = 5 };

/* In the order in which they are looked for: the plainer word first. */
static const struct {
	enum refusal why;
	int class; /* of the code */
	const char *word;
} words[] = {
	{ REFUSAL_GREYLIST, SOFT, "greylist" },
	{ REFUSAL_GREYLIST, SOFT, "graylist" },
	{ REFUSAL_GREYLIST, SOFT, "greylisted" },
	{ REFUSAL_GREYLIST, SOFT, "greylisting" },
	{ REFUSAL_GREYLIST, SOFT, "graylisted" },
	{ REFUSAL_GREYLIST, SOFT, "graylisting" },
	{ REFUSAL_GREYLIST, SOFT, "grey listing" },
	{ REFUSAL_GREYLIST, SOFT, "grey listed" },
	{ REFUSAL_GREYLIST, SOFT, "grey-listed" },
	{ REFUSAL_GREYLIST, SOFT, "postgrey" },
	{ REFUSAL_SPF, ANY, "spf" },
	{ REFUSAL_SPF, ANY, "sender policy framework" },
	{ REFUSAL_BLOCKLIST, ANY, "dnsbl" },
	{ REFUSAL_BLOCKLIST, ANY, "rbl" },
	{ REFUSAL_BLOCKLIST, ANY, "spamhaus" },
	{ REFUSAL_BLOCKLIST, ANY, "spamcop" },
	{ REFUSAL_BLOCKLIST, ANY, "barracudacentral" },
	{ REFUSAL_BLOCKLIST, ANY, "blocklist" },
	{ REFUSAL_BLOCKLIST, ANY, "block list" },
	{ REFUSAL_BLOCKLIST, ANY, "blocklisted" },
	{ REFUSAL_BLOCKLIST, ANY, "blacklist" },
	{ REFUSAL_BLOCKLIST, ANY, "black list" },
	{ REFUSAL_BLOCKLIST, ANY, "blacklisted" },
	{ REFUSAL_BLOCKLIST, ANY, "denylist" },
	{ REFUSAL_BLOCKLIST, ANY, "blocked using" },
	{ REFUSAL_BLOCKLIST, ANY, "reputation" },
	{ REFUSAL_BLOCKLIST, ANY, "client host blocked" },
	{ REFUSAL_REVERSE, ANY, "reverse" },
	{ REFUSAL_REVERSE, ANY, "rdns" },
	{ REFUSAL_REVERSE, ANY, "ptr" },
	{ REFUSAL_REVERSE, ANY, "cannot find your hostname" },
	{ REFUSAL_TLS, ANY, "starttls" },
	{ REFUSAL_RATE, SOFT, "too many" },
	{ REFUSAL_RATE, SOFT, "too much" },
	{ REFUSAL_RATE, SOFT, "rate" },
	{ REFUSAL_RATE, SOFT, "rate-limited" },
	{ REFUSAL_RATE, SOFT, "ratelimit" },
	{ REFUSAL_RELAY, ANY, "relay" },
	{ REFUSAL_RELAY, ANY, "relaying" },
	{ REFUSAL_RELAY, ANY, "rcpthosts" },
	{ REFUSAL_UNKNOWN, HARD, "user unknown" },
	{ REFUSAL_UNKNOWN, HARD, "unknown user" },
	{ REFUSAL_UNKNOWN, HARD, "no such user" },
	{ REFUSAL_UNKNOWN, HARD, "does not exist" },
	{ REFUSAL_UNKNOWN, HARD, "unrouteable address" },
	/* postscreen, after its tests of who is new */
	{ REFUSAL_GREYLIST, SOFT, "service currently unavailable" },
	{ REFUSAL_GREYLIST, SOFT, "try again later" },
	{ REFUSAL_GREYLIST, SOFT, "come back later" },
	{ REFUSAL_GREYLIST, SOFT, "try again in" },
};

/* Enhanced codes that say it all (RFC 7372, RFC 3463); what a server means by
 * others its words must say. */
static const struct {
	const char *enhanced;
	enum refusal why;
} codes[] = {
	{ "5.7.23", REFUSAL_SPF },     { "4.7.23", REFUSAL_SPF },
	{ "5.7.25", REFUSAL_REVERSE }, { "4.7.25", REFUSAL_REVERSE },
	{ "5.1.1", REFUSAL_UNKNOWN },  { "5.1.10", REFUSAL_UNKNOWN },
};

static bool is_letter(struct span s, size_t at)
{
	return at < s.n && isalnum((unsigned char)s.p[at]) != 0;
}

/* The word stands by itself, in whatever case. */
static bool has_word(struct span s, struct span word)
{
	for (size_t i = 0; i + word.n <= s.n; i++)
		if (span_ieq(span_of(s.p + i, word.n), word) &&
		    (i == 0 || !is_letter(s, i - 1)) &&
		    !is_letter(s, i + word.n))
			return true;
	return false;
}

static enum refusal by_code(const char *enhanced)
{
	for (size_t i = 0; i < COUNT(codes); i++)
		if (strcmp(codes[i].enhanced, enhanced) == 0)
			return codes[i].why;
	return REFUSAL_NONE;
}

static enum refusal by_words(int code, struct span text)
{
	for (size_t i = 0; i < COUNT(words); i++)
		if ((words[i].class == ANY || words[i].class == code / 100) &&
		    has_word(text, span_str(words[i].word)))
			return words[i].why;
	return REFUSAL_NONE;
}

enum refusal refusal_of(bool is_mail, int code, const char *enhanced,
			struct span text)
{
	enum refusal why = by_code(enhanced);

	if (code / 100 == 2)
		return REFUSAL_NONE;
	if (why == REFUSAL_NONE)
		why = by_words(code, text);
	if (why == REFUSAL_NONE && code == 530)
		why = REFUSAL_TLS;
	if (why == REFUSAL_NONE && is_mail && code / 100 == HARD)
		why = REFUSAL_SENDER;
	/* 450 4.7.1 alone is how most greylisting sounds */
	if (why == REFUSAL_NONE && code == 450 &&
	    strcmp(enhanced, "4.7.1") == 0)
		why = REFUSAL_GREYLIST;
	if (why == REFUSAL_NONE)
		why = code / 100 == SOFT ? REFUSAL_BUSY : REFUSAL_OTHER;
	return why;
}

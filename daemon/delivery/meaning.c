#include "daemon/delivery/meaning.h"

/*
 * 503 says that we are out of step and 530 that this host wants something of
 * us (RFC 3207 section 4: STARTTLS first): neither is about the mail, and it
 * must not bounce for it.
 */
static bool is_about_us(int code)
{
	return code == 503 || code == 530;
}

enum meaning meaning_of(const struct smtp_reply *r)
{
	if (r->code >= 200 && r->code < 300)
		return MEANS_YES;
	if (r->code >= 500 && !is_about_us(r->code))
		return MEANS_NEVER;
	return MEANS_LATER;
}

/*
 * RFC 5321 section 4.5.3.1.10: 452 is "too many recipients", and 552 must be
 * taken for it, too.  Both also mean a full mailbox: only the enhanced code
 * (X.5.3) or its absence beside accepted recipients makes the difference.  With
 * that code any other says so as well, also one that is permanent: what it asks
 * for is another transaction (RFC 3463 section 3.6).
 */
static bool is_too_many(const struct smtp_reply *r)
{
	if (r->code < 400)
		return false;
	if (r->enhanced[0] == '\0')
		return r->code == 452 || r->code == 552;
	return strcmp(r->enhanced + 1, ".5.3") == 0;
}

/* X.5.3 is about how many came before, not about this mail. */
bool meaning_is_spent(const struct smtp_reply *r)
{
	return is_too_many(r) && r->enhanced[0] != '\0';
}

enum meaning meaning_of_rcpt(const struct smtp_reply *r, size_t accepted)
{
	if (accepted > 0 && is_too_many(r))
		return MEANS_FULL;
	return meaning_of(r);
}

/* An enhanced code of an address or of policy (X.1.X, X.7.X) says that it is
 * neither how nor when we said it. */
static bool is_about_mail(const struct smtp_reply *r)
{
	return strncmp(r->enhanced, "5.1.", 4) == 0 ||
	       strncmp(r->enhanced, "5.7.", 4) == 0;
}

/* RFC 5321 section 4.2.2: what we said was not understood or not implemented.
 */
bool meaning_is_about_options(const struct smtp_reply *r)
{
	switch (r->code) {
	case 500:
	case 501:
	case 502:
	case 504:
	case 555:
		break;
	default:
		return false;
	}
	return !is_about_mail(r);
}

bool meaning_is_about_order(const struct smtp_reply *r)
{
	return r->code >= 500 && r->code <= 504 && !is_about_mail(r);
}

bool meaning_is_leaving(const struct smtp_reply *r)
{
	return r->code == 421; /* RFC 5321 section 3.8 */
}

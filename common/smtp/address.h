/* Paths, mailboxes and domains as RFC 5321 section 4.1.2 writes them. */
#ifndef MX_SMTP_ADDRESS_H
#define MX_SMTP_ADDRESS_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/span.h"

/*
 * RFC 5321 section 4.5.3.1, in octets.  A local part may have more than the
 * 64 octets named there as long as the path fits: they are what must be taken
 * at least, the section asks for no limits, and return addresses of mailing
 * lists and forwarders are longer every day.
 */
enum { SMTP_DOMAIN_MAX = 255, SMTP_PATH_MAX = 256 };
/* Of a local part in NFC: three times as much at worst. */
enum { SMTP_CANON_MAX = 3 * SMTP_PATH_MAX };

/*
 * A reverse-path or forward-path.  Spans borrow from the line parsed.
 *   <>                 mailbox, local and domain empty
 *   <postmaster>       local only (RFC 5321 section 4.1.1.3)
 *   <@a,@b:u@c>        the source route is dropped (RFC 5321 appendix C)
 *   <"a b"@c>          local keeps its quotes: it goes on as it came
 *   <u@[192.0.2.1]>    is_literal, domain keeps its brackets
 *   <.u..v.@c>         verbatim: dots are the primary's business
 *   <u@c.>             the last dot is dropped
 */
struct smtp_path {
	struct span mailbox; /* local@domain, no angle brackets, no route */
	struct span local;
	struct span domain;
	bool is_literal;
	bool is_utf8; /* has octets above 127 (RFC 6531) */
};

/*
 * Parse "<...>" at the front of *in, or one plain mailbox that lacks its
 * brackets and ends at a blank or with *in, and step over it.  utf8 permits
 * octets above 127 (valid UTF-8, and a domain that converts to A-labels).
 * MX_EINVAL leaves *in alone.  The empty path and the domainless postmaster
 * parse; whether they are permitted is the caller's business.  Blanks inside
 * the brackets at either end, dots at the edges of a local part or one behind
 * the other, a dot at the end of a domain and an underscore in it are let
 * pass.
 */
enum mx_err smtp_path_parse(struct span *in, bool utf8, struct smtp_path *out);

/* A mailbox without angle brackets, whole span (for configuration files). */
enum mx_err smtp_mailbox_parse(struct span in, bool utf8,
			       struct smtp_path *out);

/* A local part alone, quoted or not, whole span. */
bool smtp_is_local(struct span s, bool utf8);

/*
 * Append the local part as it is compared: quotes and their backslashes
 * removed, ASCII letters in lower case ("John"@ equals john@), and in Unicode's
 * form NFC, so that it does not matter how an accent was typed (RFC 6532
 * section 3.1).  It may have SMTP_CANON_MAX octets.
 */
void smtp_local_canon(struct buf *out, struct span local);

/*
 * Append the domain as it is compared and looked up: A-labels in lower case,
 * no trailing dot (RFC 5891, RFC 6531 section 3.7.1).  MX_EINVAL, with
 * nothing appended, when it is no name of the DNS: empty labels, too long,
 * octets other than letters, digits, hyphen and underscore, or an IDN that
 * does not convert.  Address literals are not domains.
 */
enum mx_err smtp_domain_canon(struct buf *out, struct span domain);

/* The local part of a mailbox that was parsed before: up to its last @, since a
 * quoted one may hold others.  Without any: all of it. */
struct span smtp_local_of(struct span mailbox);

/*
 * Append the mailbox with its domain in A-labels: one that is foreign only
 * there needs no SMTPUTF8 then (RFC 6531 section 3.2).  As it is, if its domain
 * has no such form.
 */
void smtp_mailbox_add_ascii(struct buf *out, struct span mailbox);

/* A host or domain name in letters, digits and hyphens (RFC 5321 Domain). */
bool smtp_is_domain(struct span s);

/* An address literal, brackets included: "[192.0.2.1]", "[IPv6:::1]". */
bool smtp_is_literal(struct span s);

#endif

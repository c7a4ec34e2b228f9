/* Domain names and address literals: what they may look like, and the one
 * form in which they are compared. */
#include "common/smtp/address.h"

#include <arpa/inet.h>
#include <idn2.h>

#include "common/base/utf8.h"

enum {
	LABEL_MAX = 63,	     /* RFC 1035 section 2.3.4 */
	NAME_MAX_TEXT = 253, /* 255 octets of wire format, written with dots */
};

static bool is_let_dig(char c)
{
	return (c >= '0' && c <= '9') ||
	       (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* sub-domain = Let-dig [Ldh-str] */
static bool is_ldh_label(struct span label)
{
	if (label.n == 0 || label.n > LABEL_MAX)
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!is_let_dig(label.p[i]) && label.p[i] != '-')
			return false;
	return label.p[0] != '-' && label.p[label.n - 1] != '-';
}

bool smtp_is_domain(struct span s)
{
	if (s.n == 0 || s.n > SMTP_DOMAIN_MAX || s.p[s.n - 1] == '.')
		return false;
	while (s.n > 0)
		if (!is_ldh_label(span_cut(&s, '.')))
			return false;
	return true;
}

/* Snum 3("." Snum), Snum = 1*3DIGIT up to 255 */
static bool is_ipv4(struct span s)
{
	for (int parts = 1;; parts++) {
		size_t dot = span_find(s, '.');
		uint64_t value;

		if (dot > 3 || !span_u64((struct span){ s.p, dot }, &value) ||
		    value > 255)
			return false;
		if (dot == s.n)
			return parts == 4;
		s = span_skip(s, dot + 1);
	}
}

static bool is_ipv6(struct span s)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char addr[16];

	if (s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return inet_pton(AF_INET6, text, addr) == 1;
}

/*
 * Of the tags that General-address-literal leaves room for, IANA's registry
 * holds "IPv6" alone, and only registered ones may be used.
 */
bool smtp_is_literal(struct span s)
{
	if (s.n < 3 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	s = (struct span){ s.p + 1, s.n - 2 };
	if (span_istarts(s, SPAN_LIT("IPv6:")))
		return is_ipv6(span_skip(s, 5));
	return is_ipv4(s);
}

/*
 * Names as the DNS holds them, which is more than RFC 5321's Domain: hosts
 * with underscores or with hyphens at the edge of a label exist.
 */
static enum mx_err canon_ascii(struct buf *out, struct span name)
{
	size_t label = 0;
	char *at;

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > NAME_MAX_TEXT)
		return MX_EINVAL;
	at = buf_reserve(out, name.n);
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c == '.' ? label == 0
			     : !is_let_dig(c) && c != '-' && c != '_')
			return MX_EINVAL;
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return MX_EINVAL;
		at[i] = ascii_lower(c);
	}
	if (label == 0)
		return MX_EINVAL;
	out->n += name.n;
	return MX_OK;
}

/* UTS 46 non-transitional: what browsers and registries do today. */
static enum mx_err canon_idn(struct buf *out, struct span name)
{
	struct buf text = { 0 };
	char *ascii = NULL;
	enum mx_err err = MX_EINVAL;

	buf_add(&text, name);
	if (idn2_to_ascii_8z(buf_cstr(&text), &ascii,
			     IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK)
		err = canon_ascii(out, span_str(ascii));
	idn2_free(ascii);
	buf_fini(&text);
	return err;
}

enum mx_err smtp_domain_canon(struct buf *out, struct span domain)
{
	if (!span_has_8bit(domain))
		return canon_ascii(out, domain);
	/* a NUL would cut the name that libidn2 sees */
	if (domain.n > SMTP_DOMAIN_MAX || !utf8_valid(domain) ||
	    memchr(domain.p, '\0', domain.n) != NULL)
		return MX_EINVAL;
	return canon_idn(out, domain);
}

#include "common/status/pattern.h"

#include "common/smtp/address.h"

/* An address as addresses are compared; false: it has no such form. */
static bool canon(struct buf *out, struct span mailbox)
{
	struct span local = smtp_local_of(mailbox);

	buf_reset(out);
	if (local.n == 0 || local.n + 1 >= mailbox.n)
		return false;
	smtp_local_canon(out, local);
	buf_addc(out, '@');
	return smtp_domain_canon(out, span_skip(mailbox, local.n + 1)) ==
	       MX_OK;
}

static bool take_domain(struct pattern *p, struct span name)
{
	p->kind = PATTERN_DOMAIN;
	return smtp_domain_canon(&p->text, name) == MX_OK;
}

/* What is like no address (a literal of an address, say) is a part of one. */
static bool take_address(struct pattern *p, struct span word)
{
	p->kind = PATTERN_ADDRESS;
	if (canon(&p->text, word))
		return true;
	buf_reset(&p->text);
	p->kind = PATTERN_PART;
	buf_add(&p->text, word);
	return true;
}

bool pattern_take(struct pattern *p, struct span word)
{
	*p = (struct pattern){ 0 };
	if (word.n >= 2 && word.p[0] == '<' && word.p[word.n - 1] == '>') {
		word = span_of(word.p + 1, word.n - 2);
		if (word.n == 0) {
			p->kind = PATTERN_EMPTY;
			return true;
		}
	}
	if (word.n == 0 || word.n > PATTERN_MAX)
		return false;
	if (word.p[0] == '@')
		return take_domain(p, span_skip(word, 1));
	if (memchr(word.p, '@', word.n) != NULL)
		return take_address(p, word);
	p->kind = PATTERN_PART;
	buf_add(&p->text, word);
	return true;
}

void pattern_fini(struct pattern *p)
{
	buf_fini(&p->text);
	buf_fini(&p->scratch);
}

/* Where it is at or behind `from`; SIZE_MAX: nowhere. */
static size_t find(struct span text, struct span needle, size_t from)
{
	for (size_t i = from; i + needle.n <= text.n; i++)
		if (span_istarts(span_skip(text, i), needle))
			return i;
	return SIZE_MAX;
}

static bool is_letter_or_digit(char c)
{
	c = ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool pattern_contains_word(struct span text, struct span needle)
{
	size_t at = 0;

	if (needle.n == 0)
		return false;
	for (; (at = find(text, needle, at)) != SIZE_MAX; at++) {
		size_t end = at + needle.n;

		if ((at == 0 || !is_letter_or_digit(text.p[at - 1])) &&
		    (end == text.n || !is_letter_or_digit(text.p[end])))
			return true;
	}
	return false;
}

static bool is_of_domain(struct pattern *p, struct span mailbox)
{
	struct span local = smtp_local_of(mailbox);

	buf_reset(&p->scratch);
	return local.n + 1 < mailbox.n &&
	       smtp_domain_canon(&p->scratch,
				 span_skip(mailbox, local.n + 1)) == MX_OK &&
	       span_eq(buf_span(&p->scratch), buf_span(&p->text));
}

bool pattern_matches(struct pattern *p, struct span mailbox)
{
	switch (p->kind) {
	case PATTERN_ANY:
		return true;
	case PATTERN_EMPTY:
		return mailbox.n == 0;
	case PATTERN_ADDRESS:
		return canon(&p->scratch, mailbox) &&
		       span_eq(buf_span(&p->scratch), buf_span(&p->text));
	case PATTERN_DOMAIN:
		return is_of_domain(p, mailbox);
	case PATTERN_PART:
		return find(mailbox, buf_span(&p->text), 0) != SIZE_MAX;
	}
	return false;
}

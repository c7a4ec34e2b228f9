#include "config/value/text.h"

#include <ctype.h>
#include <unictype.h>
#include <uniname.h>
#include <unistr.h>

#include "common/base/assert.h"
#include "common/base/utf8.h"

enum { ZWNJ = 0x200c, ZWJ = 0x200d, REPLACEMENT = 0xfffd };

/* ---- Characters ---- */

static ucs4_t decode(struct span s, size_t n)
{
	ucs4_t uc = 0;

	u8_mbtouc(&uc, (const uint8_t *)s.p, n);
	return uc;
}

static bool is_joined(struct span word, size_t at, size_t n)
{
	return at > 0 && (word.p[at - 1] & 0x80) != 0 && at + n < word.n &&
	       (word.p[at + n] & 0x80) != 0;
}

static bool is_hidden(ucs4_t uc)
{
	return uc == REPLACEMENT ||
	       uc_is_general_category_withtable(
		       uc, UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Cf |
				   UC_CATEGORY_MASK_Z) ||
	       (uc_is_property_default_ignorable_code_point(uc) &&
		!uc_is_property_variation_selector(uc));
}

static void describe(struct buf *what, ucs4_t uc)
{
	char name[UNINAME_MAX];

	buf_addf(what, "U+%04X ", (unsigned)uc);
	if (unicode_character_name(uc, name) == NULL) {
		buf_adds(what, "control character");
		return;
	}
	for (char *p = name; *p != '\0'; p++)
		buf_addc(what, ascii_lower(*p));
}

/* In ASCII a blank is what separates words, not a part of one that hides. */
static bool is_plain(char c)
{
	return (c >= ' ' && c < 0x7f) || c == '\t';
}

/* The length of the character at the front, and whether it hides; 0: none. */
static size_t look(struct span word, size_t at, bool *hides)
{
	struct span rest = span_skip(word, at);
	size_t n = utf8_char(rest);

	*hides = true;
	if (n == 0)
		return 0;
	ucs4_t uc = decode(rest, n);
	if (n == 1)
		*hides = !is_plain(rest.p[0]);
	else if (uc == ZWNJ || uc == ZWJ)
		*hides = !is_joined(word, at, n);
	else
		*hides = is_hidden(uc);
	return n;
}

/* Characters, and octets that are none. */
static size_t column(struct span before)
{
	size_t n, count = 1;

	for (; before.n > 0; count++) {
		n = utf8_char(before);
		before = span_skip(before, n > 0 ? n : 1);
	}
	return count;
}

bool text_hides(struct span line, struct span word, struct buf *what)
{
	size_t at = 0, n = 0;
	bool hides = false;

	while (at < word.n && is_plain(word.p[at])) /* nearly always all */
		at++;
	while (at < word.n && (n = look(word, at, &hides), !hides))
		at += n;
	if (!hides || what == NULL)
		return hides;
	if (n == 0)
		buf_addf(what, "octet %02X, which is no UTF-8,",
			 (unsigned)(unsigned char)word.p[at]);
	else
		describe(what, decode(span_skip(word, at), n));
	buf_addf(what, " at column %zu",
		 column(span_of(line.p, (size_t)(word.p + at - line.p))));
	return true;
}

/* ---- Files ---- */

bool text_is_utf16(struct span head)
{
	return span_starts(head, SPAN_LIT("\xff\xfe")) ||
	       span_starts(head, SPAN_LIT("\xfe\xff")) ||
	       /* ASCII, as the names of most files begin */
	       (head.n >= 4 && ((head.p[0] == '\0') != (head.p[1] == '\0')) &&
		(head.p[0] == '\0') == (head.p[2] == '\0') &&
		(head.p[1] == '\0') == (head.p[3] == '\0'));
}

bool text_is_complaint(struct span line)
{
	static const char *const signs[] = {
		"<!doctype", "<html",	  "<?xml",     "<head",
		"http/1.",   "http/2",	  "{\"",       "[{",
		"traceback", "exception", "error",     "fatal",
		"not found", "no such",	  "denied",    "refused",
		"failed",    "timed out", "timeout",   "unavailable",
		"forbidden", "gateway",	  "too large", "unauthorized",
	};
	struct buf text = { 0 };
	bool found = false;

	buf_add(&text, line);
	for (size_t i = 0; i < COUNT(signs) && !found; i++)
		found = strcasestr(buf_cstr(&text), signs[i]) != NULL;
	buf_fini(&text);
	return found;
}

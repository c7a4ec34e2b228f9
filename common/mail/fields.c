/* The fields we write. */
#include "common/mail/header.h"

#include <stdlib.h>
#include <time.h>

#include "common/base/msgid.h"
#include "common/base/utf8.h"

enum { HELO_SHOWN = 255 };

/* What may stand outside of quotes and comments, as one word. */
static bool is_word_byte(char c)
{
	return c > 32 && c < 127 && strchr("()<>,;\\\"", c) == NULL;
}

/* A word the peer chose; what could end the word or the field becomes '?'. */
static void add_word(struct buf *out, struct span s)
{
	char *to;

	if (s.n == 0)
		buf_adds(out, "unknown");
	if (s.n > HELO_SHOWN)
		s.n = HELO_SHOWN;
	to = buf_reserve(out, s.n);
	for (size_t i = 0; i < s.n; i++)
		to[i] = is_word_byte(s.p[i]) ? s.p[i] : '?';
	out->n += s.n;
}

/* Text inside a comment, or a path that was parsed: blanks are fine. */
static void add_text(struct buf *out, struct span s, const char *banned)
{
	bool utf8 = utf8_valid(s);
	char *to = buf_reserve(out, s.n);

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool ok = (unsigned char)c > 127 ? utf8 : c > 31 && c < 127;

		to[i] = ok && strchr(banned, c) == NULL ? c : '?';
	}
	out->n += s.n;
}

/* TCP-info = address-literal; reverse names are not looked up. */
static void add_tcp_info(struct buf *out, struct span addr)
{
	buf_adds(out, "([");
	if (span_find(addr, ':') < addr.n)
		buf_adds(out, "IPv6:");
	add_word(out, addr);
	buf_adds(out, "])");
}

void mail_received_add(struct buf *out, const struct mail_received *r)
{
	buf_adds(out, "Received: from ");
	add_word(out, r->helo);
	buf_addc(out, ' ');
	add_tcp_info(out, r->client_addr);
	buf_adds(out, "\r\n\tby ");
	add_word(out, r->by);
	buf_adds(out, " with ");
	add_word(out, r->with);
	if (r->tls.n > 0) {
		buf_adds(out, " (");
		add_text(out, r->tls, "()\\");
		buf_addc(out, ')');
	}
	buf_adds(out, "\r\n\tid ");
	msg_id_add(out, r->id);
	if (r->rcpt.n > 0) {
		buf_adds(out, " for <");
		add_text(out, r->rcpt, "");
		buf_addc(out, '>');
	}
	buf_adds(out, "; ");
	mail_date_add(out, r->wall_ms);
	buf_adds(out, "\r\n");
}

/* ":07" */
static void add_two(struct buf *out, char before, long v)
{
	buf_addc(out, before);
	buf_addc(out, (char)('0' + v / 10));
	buf_addc(out, (char)('0' + v % 10));
}

/* Not strftime: the names must be English in every locale. */
void mail_date_add(struct buf *out, int64_t wall_ms)
{
	static const char days[] = "Sun, Mon, Tue, Wed, Thu, Fri, Sat, ";
	static const char months[] =
		" Jan  Feb  Mar  Apr  May  Jun  Jul  Aug  Sep  Oct  Nov  Dec ";
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm = { 0 };
	long east;

	if (localtime_r(&t, &tm) == NULL)
		tm = (struct tm){ .tm_mday = 1, .tm_year = 70 };
	east = labs(tm.tm_gmtoff / 60);
	buf_add(out, span_of(days + 5L * tm.tm_wday, 5));
	buf_addu(out, (uint64_t)tm.tm_mday);
	buf_add(out, span_of(months + 5L * tm.tm_mon, 5));
	buf_addu(out, 1900u + (unsigned)tm.tm_year);
	add_two(out, ' ', tm.tm_hour);
	add_two(out, ':', tm.tm_min);
	add_two(out, ':', tm.tm_sec);
	buf_addc(out, ' ');
	add_two(out, tm.tm_gmtoff < 0 ? '-' : '+', east / 60 % 100);
	buf_addc(out, (char)('0' + east % 60 / 10));
	buf_addc(out, (char)('0' + east % 10));
}

void mail_message_id_add(struct buf *out, uint64_t id, uint64_t nonce,
			 struct span host)
{
	buf_addc(out, '<');
	msg_id_add(out, id);
	buf_addf(out, ".%016llx@", (unsigned long long)nonce);
	add_word(out, host);
	buf_addc(out, '>');
}

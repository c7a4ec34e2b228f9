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
	if (s.n == 0)
		buf_adds(out, "unknown");
	for (size_t i = 0; i < s.n && i < HELO_SHOWN; i++)
		buf_addc(out, is_word_byte(s.p[i]) ? s.p[i] : '?');
}

/* Text inside a comment, or a path that was parsed: blanks are fine. */
static void add_text(struct buf *out, struct span s, const char *banned)
{
	bool utf8 = utf8_valid(s);

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool ok = (unsigned char)c > 127 ? utf8 : c > 31 && c < 127;

		buf_addc(out, ok && strchr(banned, c) == NULL ? c : '?');
	}
}

/* TCP-info = address-literal / ( Domain FWS address-literal ) */
static void add_tcp_info(struct buf *out, const struct mail_received *r)
{
	buf_addc(out, '(');
	if (r->client_name.n > 0) {
		add_word(out, r->client_name);
		buf_addc(out, ' ');
	}
	buf_addc(out, '[');
	if (span_find(r->client_addr, ':') < r->client_addr.n)
		buf_adds(out, "IPv6:");
	add_word(out, r->client_addr);
	buf_adds(out, "])");
}

void mail_received_add(struct buf *out, const struct mail_received *r)
{
	buf_adds(out, "Received: from ");
	add_word(out, r->helo);
	buf_addc(out, ' ');
	add_tcp_info(out, r);
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

/* Not strftime: the names must be English in every locale. */
void mail_date_add(struct buf *out, int64_t wall_ms)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed",
					"Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr",
					  "May", "Jun", "Jul", "Aug",
					  "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm = { 0 };
	long minutes;

	if (localtime_r(&t, &tm) == NULL)
		tm = (struct tm){ .tm_mday = 1, .tm_year = 70 };
	minutes = tm.tm_gmtoff / 60;
	buf_addf(out, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld",
		 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
		 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
		 minutes < 0 ? '-' : '+', labs(minutes) / 60,
		 labs(minutes) % 60);
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

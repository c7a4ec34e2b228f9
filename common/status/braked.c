#include "common/status/braked.h"

#include <string.h>

#include "common/smtp/alike.h"

/* A line of its own when it is stored. */
static void copy_text(char out[BRAKED_TEXT_MAX], struct span text)
{
	size_t n = text.n < BRAKED_TEXT_MAX - 1 ? text.n : BRAKED_TEXT_MAX - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)text.p[i] < ' ' ? ' ' : text.p[i];
	out[n] = '\0';
}

void braked_add(struct braked *b, struct span reply)
{
	char text[BRAKED_TEXT_MAX];

	copy_text(text, reply);
	for (size_t i = 0; i < b->reply_count; i++)
		if (smtp_alike(b->replies[i].text, text)) {
			b->replies[i].count++;
			return;
		}
	if (b->reply_count == BRAKED_REPLIES) {
		b->others++;
		return;
	}
	memcpy(b->replies[b->reply_count].text, text, sizeof(text));
	b->replies[b->reply_count++].count = 1;
}

unsigned braked_refusals(const struct braked *b)
{
	unsigned n = b->others;

	for (size_t i = 0; i < b->reply_count; i++)
		n += b->replies[i].count;
	return n;
}

struct span braked_most(const struct braked *b)
{
	size_t most = 0;

	if (b->reply_count == 0)
		return span_of("", 0);
	for (size_t i = 1; i < b->reply_count; i++)
		if (b->replies[i].count > b->replies[most].count)
			most = i;
	return span_str(b->replies[most].text);
}

/* ---- As it is stored ---- */

void braked_domain_key(struct buf *out, struct span domain)
{
	buf_adds(out, "brake:");
	buf_add(out, domain);
}

/* A long key ends in a hash that is another one in each run: without it. */
void braked_destination_key(struct buf *out, struct span route_key)
{
	size_t at = span_find(route_key, '#');

	buf_adds(out, "brake:@");
	buf_add(out, span_of(route_key.p, at));
}

void braked_print(struct buf *out, const struct braked *b)
{
	buf_addf(out, "%lld %u\n", (long long)b->since_ms, b->others);
	for (size_t i = 0; i < b->reply_count; i++)
		buf_addf(out, "%u %s\n", b->replies[i].count,
			 b->replies[i].text);
}

static bool take_count(struct span text, unsigned *out)
{
	uint64_t v;
	bool ok = span_u64(text, &v) && v <= UINT32_MAX;

	*out = ok ? (unsigned)v : 0;
	return ok;
}

bool braked_parse(struct span value, struct braked *out)
{
	struct span line = span_cut(&value, '\n');
	uint64_t since;

	*out = (struct braked){ 0 };
	if (!span_u64(span_cut(&line, ' '), &since) || since == 0 ||
	    since > INT64_MAX || !take_count(line, &out->others))
		return false;
	out->since_ms = (int64_t)since;
	while (value.n > 0 && out->reply_count < BRAKED_REPLIES) {
		struct braked_reply *r = &out->replies[out->reply_count];

		line = span_cut(&value, '\n');
		if (!take_count(span_cut(&line, ' '), &r->count))
			return false;
		copy_text(r->text, line);
		out->reply_count++;
	}
	return true;
}

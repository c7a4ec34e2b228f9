#include "common/spool/codec.h"

#include "common/spool/bytes.h"

static struct span cut(struct span s, size_t max)
{
	return (struct span){ s.p, s.n < max ? s.n : max };
}

static bool get_version(struct bytes_in *in)
{
	in->bad = in->bad || bytes_get(in, 1) != RECORD_VERSION;
	return !in->bad;
}

static int64_t get_i64(struct bytes_in *in)
{
	return (int64_t)bytes_get(in, 8);
}

/*
 * message:
 *   version:1 units:4 proto:1 body:1 ret:1 flags:1 arrived:8 bytes:8
 *   from:str client:str helo:str envid:str tls:str      (str: length:2 bytes)
 *
 *   01 00000001 02 02 00 00 00000198a5c3f210 000000000000122a
 *   000b "a@x.example" 0009 "192.0.2.7" 0009 "x.example" 0000 0000
 * is an ESMTP message of 4650 bytes with BODY=8BITMIME and one unit left.
 */
enum {
	MESSAGE_FIXED = 1 + 4 + 1 + 1 + 1 + 1 + 8 + 8,
	MESSAGE_UNITS_AT = 1,
	FLAG_SMTPUTF8 = 1,
	FLAG_REQUIRETLS = 2,
	FLAG_TLS_OPTIONAL = 4,
	/* 8 told of octets above 127 in the header; older records have it */
	FLAG_DSN = 16,
	FLAG_ALL = 31,
};

bool envelope_fits(const struct envelope *e)
{
	const struct span *all[] = { &e->from, &e->client_addr, &e->helo,
				     &e->envid, &e->tls };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->n > RECORD_SPAN_MAX)
			return false;
	return true;
}

size_t envelope_size(const struct envelope *e)
{
	return MESSAGE_FIXED + (size_t)5 * 2 + e->from.n + e->client_addr.n +
	       e->helo.n + e->envid.n + e->tls.n;
}

char *envelope_put(char *p, const struct envelope *e, uint32_t units)
{
	unsigned flags = (e->smtputf8 ? FLAG_SMTPUTF8 : 0U) |
			 (e->requiretls ? FLAG_REQUIRETLS : 0U) |
			 (e->tls_required_no ? FLAG_TLS_OPTIONAL : 0U) |
			 (e->is_dsn ? FLAG_DSN : 0U);

	p = bytes_put(p, RECORD_VERSION, 1);
	p = bytes_put(p, units, 4);
	p = bytes_put(p, e->proto, 1);
	p = bytes_put(p, e->body, 1);
	p = bytes_put(p, e->ret, 1);
	p = bytes_put(p, flags, 1);
	p = bytes_put(p, (uint64_t)e->arrived_ms, 8);
	p = bytes_put(p, e->bytes, 8);
	p = bytes_put_span(p, e->from);
	p = bytes_put_span(p, e->client_addr);
	p = bytes_put_span(p, e->helo);
	p = bytes_put_span(p, e->envid);
	return bytes_put_span(p, e->tls);
}

void envelope_set_units(char *value, uint32_t units)
{
	MX_ASSERT(units > 0); /* without one the row goes */
	bytes_put(value + MESSAGE_UNITS_AT, units, 4);
}

/* A number that must be below end: an enum as it was stored. */
static unsigned get_below(struct bytes_in *in, unsigned end)
{
	uint64_t v = bytes_get(in, 1);

	in->bad = in->bad || v >= end;
	return in->bad ? 0 : (unsigned)v;
}

bool envelope_get(struct span value, struct envelope *e, uint32_t *units)
{
	struct bytes_in in = { value, false };
	unsigned flags;

	*e = (struct envelope){ 0 };
	get_version(&in);
	*units = (uint32_t)bytes_get(&in, 4);
	e->proto = (enum envelope_proto)get_below(&in, PROTO_ESMTP + 1);
	e->body = (enum smtp_body)get_below(&in, SMTP_BODY_8BITMIME + 1);
	e->ret = (enum smtp_ret)get_below(&in, SMTP_RET_HDRS + 1);
	flags = get_below(&in, FLAG_ALL + 1);
	e->smtputf8 = flags & FLAG_SMTPUTF8;
	e->requiretls = flags & FLAG_REQUIRETLS;
	e->tls_required_no = flags & FLAG_TLS_OPTIONAL;
	e->is_dsn = flags & FLAG_DSN;
	e->arrived_ms = get_i64(&in);
	e->bytes = bytes_get(&in, 8);
	e->from = bytes_get_span(&in);
	e->client_addr = bytes_get_span(&in);
	e->helo = bytes_get_span(&in);
	e->envid = bytes_get_span(&in);
	e->tls = bytes_get_span(&in);
	return bytes_end(&in);
}

/*
 * recipient:
 *   version:1 notify:1 state:1 attempts:4 attempt:8 expires:8 warn:8
 *   path:str orcpt:str reply:str host:str [until:8 failure:1]
 *
 * The last two only of a state that has them; earlier versions know neither
 * those nor their states (env_raise_schema).
 *
 *   01 00 00 00000002 00000198a5d00000 00000198edc90000 0000000000000000
 *   0010 "user@example.com" 0000 000b "450 4.2.1 x" 0003 "mx1"
 * was tried twice, waits, and is never to be warned about.
 */
enum {
	RECIPIENT_FIXED = 1 + 1 + 1 + 4 + 8 + 8 + 8,
	RECIPIENT_UNTIL = 8 + 1,
	NOTIFY_ALL = 15
};

size_t recipient_size(const struct recipient_row *row)
{
	const struct recipient *r = &row->r;

	size_t n = recipient_is_parked(r) ? RECIPIENT_UNTIL : 0;

	return RECIPIENT_FIXED + n + (size_t)4 * 2 + r->path.n + r->orcpt.n +
	       cut(r->last_reply, RECORD_TEXT_MAX).n +
	       cut(r->last_host, RECORD_TEXT_MAX).n;
}

char *recipient_put(char *p, const struct recipient_row *row)
{
	const struct recipient *r = &row->r;

	p = bytes_put(p, RECORD_VERSION, 1);
	p = bytes_put(p, r->notify & NOTIFY_ALL, 1);
	p = bytes_put(p, r->state, 1);
	p = bytes_put(p, r->attempts, 4);
	p = bytes_put(p, (uint64_t)r->attempt_ms, 8);
	p = bytes_put(p, (uint64_t)row->expires_ms, 8);
	p = bytes_put(p, (uint64_t)row->warn_ms, 8);
	p = bytes_put_span(p, r->path);
	p = bytes_put_span(p, r->orcpt);
	p = bytes_put_span(p, cut(r->last_reply, RECORD_TEXT_MAX));
	p = bytes_put_span(p, cut(r->last_host, RECORD_TEXT_MAX));
	if (!recipient_is_parked(r))
		return p;
	p = bytes_put(p, (uint64_t)r->until_ms, 8);
	return bytes_put(p, r->failure, 1);
}

bool recipient_get(struct span value, struct recipient_row *row)
{
	struct bytes_in in = { value, false };
	struct recipient *r = &row->r;

	*row = (struct recipient_row){ 0 };
	get_version(&in);
	r->notify = get_below(&in, NOTIFY_ALL + 1);
	r->state = (enum recipient_state)get_below(&in, RECIPIENT_TAKEN + 1);
	r->attempts = (uint32_t)bytes_get(&in, 4);
	r->attempt_ms = get_i64(&in);
	row->expires_ms = get_i64(&in);
	row->warn_ms = get_i64(&in);
	r->path = bytes_get_span(&in);
	r->orcpt = bytes_get_span(&in);
	r->last_reply = bytes_get_span(&in);
	r->last_host = bytes_get_span(&in);
	if (recipient_is_parked(r)) {
		r->until_ms = get_i64(&in);
		r->failure = (enum recipient_failure)get_below(
			&in, FAILURE_UNFIT + 1);
		in.bad = in.bad || r->until_ms < 0;
	}
	return bytes_end(&in);
}

/* A string into a fixed array; longer ones are cut, NUL is kept free. */
static void get_text(struct bytes_in *in, char *out, size_t cap)
{
	struct span s = cut(bytes_get_span(in), cap - 1);

	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
}

static char *put_text(char *p, const char *text, size_t cap)
{
	return bytes_put_span(p, (struct span){ text, strnlen(text, cap) });
}

/*
 * domain:
 *   version:1 units:8 bytes:8 oldest:8 oldest_id:8 ready:8 deferred:8 held:8
 *   hold:1 reason:str destination:str [refused:8 [refused_bytes:8]]
 *
 * hold: bits, see below.  Rows of earlier versions end before the last ones.
 */
enum { HOLD_HELD = 1, HOLD_UNLISTED = 2, HOLD_ALL = 3 };

char *domain_row_put(char *p, const struct domain_row *row)
{
	const struct spool_domain *d = &row->d;

	p = bytes_put(p, RECORD_VERSION, 1);
	p = bytes_put(p, d->units, 8);
	p = bytes_put(p, d->bytes, 8);
	p = bytes_put(p, (uint64_t)d->oldest_ms, 8);
	p = bytes_put(p, row->oldest_id, 8);
	p = bytes_put(p, d->ready, 8);
	p = bytes_put(p, d->deferred, 8);
	p = bytes_put(p, d->held, 8);
	p = bytes_put(p,
		      (d->is_held ? HOLD_HELD : 0U) |
			      (d->is_unlisted ? HOLD_UNLISTED : 0U),
		      1);
	p = put_text(p, d->hold_reason, sizeof(d->hold_reason));
	p = put_text(p, d->destination, sizeof(d->destination));
	if (d->refused == 0)
		return p;
	p = bytes_put(p, d->refused, 8);
	return bytes_put(p, d->refused_bytes, 8);
}

/* A number that rows of earlier versions end before. */
static uint64_t get_later(struct bytes_in *in)
{
	return !in->bad && in->left.n > 0 ? bytes_get(in, 8) : 0;
}

bool domain_row_get(struct span value, struct domain_row *row)
{
	struct bytes_in in = { value, false };
	struct spool_domain *d = &row->d;
	unsigned hold;

	get_version(&in);
	d->units = bytes_get(&in, 8);
	d->bytes = bytes_get(&in, 8);
	d->oldest_ms = get_i64(&in);
	row->oldest_id = bytes_get(&in, 8);
	d->ready = bytes_get(&in, 8);
	d->deferred = bytes_get(&in, 8);
	d->held = bytes_get(&in, 8);
	hold = get_below(&in, HOLD_ALL + 1);
	d->is_held = hold & HOLD_HELD;
	d->is_unlisted = hold & HOLD_UNLISTED;
	get_text(&in, d->hold_reason, sizeof(d->hold_reason));
	get_text(&in, d->destination, sizeof(d->destination));
	d->refused = get_later(&in);
	d->refused_bytes = get_later(&in);
	return bytes_end(&in);
}

/*
 * target:
 *   version:1 up:1 since:8 latency:4 reply:str ehlo:str [checked:8 [ehlo_at:8]]
 *
 * Rows of earlier versions end before one of the last two.
 */
char *target_row_put(char *p, const struct spool_target *t)
{
	p = bytes_put(p, RECORD_VERSION, 1);
	p = bytes_put(p, t->is_up, 1);
	p = bytes_put(p, (uint64_t)t->since_ms, 8);
	p = bytes_put(p, t->latency_ms, 4);
	p = put_text(p, t->last_reply, sizeof(t->last_reply));
	p = put_text(p, t->ehlo, sizeof(t->ehlo));
	if (t->checked_ms == 0)
		return p;
	p = bytes_put(p, (uint64_t)t->checked_ms, 8);
	return t->ehlo_ms != 0 ? bytes_put(p, (uint64_t)t->ehlo_ms, 8) : p;
}

bool target_row_get(struct span value, struct spool_target *t)
{
	struct bytes_in in = { value, false };

	get_version(&in);
	t->is_up = get_below(&in, 2);
	t->since_ms = get_i64(&in);
	t->latency_ms = (uint32_t)bytes_get(&in, 4);
	get_text(&in, t->last_reply, sizeof(t->last_reply));
	get_text(&in, t->ehlo, sizeof(t->ehlo));
	t->checked_ms = !in.bad && in.left.n > 0 ? get_i64(&in) : 0;
	t->ehlo_ms = !in.bad && in.left.n > 0 ? get_i64(&in) : 0;
	return bytes_end(&in);
}

/*
 * parked: version:1 due:8 [reason:str]
 *
 * Without a reason nothing stands behind the time, as in the rows of earlier
 * versions.
 */
char *parked_put(char *p, int64_t due_ms, struct span reason)
{
	p = bytes_put(p, RECORD_VERSION, 1);
	p = bytes_put(p, (uint64_t)due_ms, 8);
	return reason.n > 0 ? bytes_put_span(p, cut(reason, PARKED_REASON_MAX))
			    : p;
}

bool parked_get(struct span value, int64_t *due_ms, struct span *reason)
{
	struct bytes_in in = { value, false };

	get_version(&in);
	*due_ms = get_i64(&in);
	*reason = SPAN_LIT("");
	if (!in.bad && in.left.n > 0) {
		*reason = bytes_get_span(&in);
		in.bad = in.bad || reason->n == 0 ||
			 reason->n > PARKED_REASON_MAX;
	}
	return bytes_end(&in) && *due_ms >= 0;
}

/* state: version:1 bytes:8 last_id:8 wall:8 */
char *state_row_put(char *p, const struct state_row *row)
{
	p = bytes_put(p, RECORD_VERSION, 1);
	p = bytes_put(p, row->bytes, 8);
	p = bytes_put(p, row->last_id, 8);
	return bytes_put(p, (uint64_t)row->wall_ms, 8);
}

bool state_row_get(struct span value, struct state_row *row)
{
	struct bytes_in in = { value, false };

	get_version(&in);
	row->bytes = bytes_get(&in, 8);
	row->last_id = bytes_get(&in, 8);
	row->wall_ms = get_i64(&in);
	return bytes_end(&in);
}

char *shift_row_put(char *p, const struct shift_row *row)
{
	p = bytes_put(p, RECORD_VERSION, 1);
	p = bytes_put(p, (uint64_t)row->by_ms, 8);
	p = bytes_put(p, (uint64_t)row->until_ms, 8);
	p = bytes_put(p, row->last_id, 8);
	return bytes_put(p, row->pos, 8);
}

bool shift_row_get(struct span value, struct shift_row *row)
{
	struct bytes_in in = { value, false };

	get_version(&in);
	row->by_ms = get_i64(&in);
	row->until_ms = get_i64(&in);
	row->last_id = bytes_get(&in, 8);
	row->pos = bytes_get(&in, 8);
	return bytes_end(&in);
}

/*
 * known: version:1 what:1 asked:1 at:8 destination:8 down:8 reply:str
 *
 * Example, "yes", from a callout:
 *   01 01 01 00000199d8a1b2c3 5be1c07a99d2f013 0000000000000000
 *   000c "250 2.1.5 Ok"
 */
char *known_row_put(char *p, const struct spool_known *k)
{
	p = bytes_put(p, RECORD_VERSION, 1);
	p = bytes_put(p, k->what, 1);
	p = bytes_put(p, k->is_asked, 1);
	p = bytes_put(p, (uint64_t)k->at_ms, 8);
	p = bytes_put(p, k->destination, 8);
	p = bytes_put(p, (uint64_t)k->down_ms, 8);
	return put_text(p, k->reply, sizeof(k->reply));
}

bool known_row_get(struct span value, struct spool_known *k)
{
	struct bytes_in in = { value, false };

	*k = (struct spool_known){ 0 };
	get_version(&in);
	k->what = (enum spool_known_what)get_below(&in, KNOWN_WHATS);
	k->is_asked = get_below(&in, 2);
	k->at_ms = get_i64(&in);
	k->destination = bytes_get(&in, 8);
	k->down_ms = get_i64(&in);
	get_text(&in, k->reply, sizeof(k->reply));
	return bytes_end(&in) && k->at_ms >= 0 && k->down_ms >= 0;
}

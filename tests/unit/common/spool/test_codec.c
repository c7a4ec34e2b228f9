#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/spool/codec.h"

static struct envelope sample_envelope(void)
{
	return (struct envelope){
		.arrived_ms = 1790000000000,
		.bytes = 4650,
		.from = SPAN_LIT("a@x.example"),
		.client_addr = SPAN_LIT("2001:db8::1"),
		.helo = SPAN_LIT("x.example"),
		.envid = SPAN_LIT(""),
		.tls = SPAN_LIT("TLSv1.3 TLS_AES_256_GCM_SHA384"),
		.proto = PROTO_ESMTP,
		.body = SMTP_BODY_8BITMIME,
		.ret = SMTP_RET_FULL,
		.requiretls = true,
		.is_dsn = true,
	};
}

static struct recipient_row sample_recipient(void)
{
	return (struct recipient_row){
		.r = { .path = SPAN_LIT("user@example.com"),
		       .orcpt = SPAN_LIT("rfc822;user@example.com"),
		       .notify = SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY,
		       .attempts = 3,
		       .attempt_ms = 1790000000001,
		       .last_reply = SPAN_LIT("450 4.2.1 busy"),
		       .last_host = SPAN_LIT("mx1.example.com"),
		       .state = RECIPIENT_HELD },
		.expires_ms = 1790000000002,
		.warn_ms = 1790000000003,
	};
}

Test(spool_codec, envelope_comes_back)
{
	struct envelope e = sample_envelope(), got;
	size_t n = envelope_size(&e);
	char *p = malloc(n);
	uint32_t units;

	cr_assert_eq(envelope_put(p, &e, 7), p + n);
	cr_assert(envelope_get((struct span){ p, n }, &got, &units));
	cr_expect_eq(units, 7);
	cr_expect_eq(got.arrived_ms, e.arrived_ms);
	cr_expect_eq(got.bytes, e.bytes);
	cr_expect(span_eq(got.from, e.from));
	cr_expect(span_eq(got.client_addr, e.client_addr));
	cr_expect(span_eq(got.helo, e.helo));
	cr_expect(span_eq(got.envid, e.envid));
	cr_expect(span_eq(got.tls, e.tls));
	cr_expect(got.proto == e.proto && got.body == e.body &&
		  got.ret == e.ret);
	cr_expect(got.requiretls && got.is_dsn);
	cr_expect_not(got.smtputf8 || got.tls_required_no);
	envelope_set_units(p, 6);
	cr_assert(envelope_get((struct span){ p, n }, &got, &units));
	cr_expect_eq(units, 6);
	free(p);
}

Test(spool_codec, recipient_comes_back)
{
	struct recipient_row r = sample_recipient(), got;
	size_t n = recipient_size(&r);
	char *p = malloc(n);

	cr_assert_eq(recipient_put(p, &r), p + n);
	cr_assert(recipient_get((struct span){ p, n }, &got));
	cr_expect(span_eq(got.r.path, r.r.path));
	cr_expect(span_eq(got.r.orcpt, r.r.orcpt));
	cr_expect(span_eq(got.r.last_reply, r.r.last_reply));
	cr_expect(span_eq(got.r.last_host, r.r.last_host));
	cr_expect_eq(got.r.notify, r.r.notify);
	cr_expect_eq(got.r.attempts, 3);
	cr_expect_eq(got.r.state, RECIPIENT_HELD);
	cr_expect_eq(got.r.attempt_ms, r.r.attempt_ms);
	cr_expect_eq(got.expires_ms, r.expires_ms);
	cr_expect_eq(got.warn_ms, r.warn_ms);
	free(p);
}

/* What earlier versions wrote had no more than two states, and ended there. */
Test(spool_codec, a_recipient_that_is_parked)
{
	struct recipient_row r = sample_recipient(), got;
	char value[512];
	size_t held = (size_t)(recipient_put(value, &r) - value), n;

	cr_assert(recipient_get(span_of(value, held), &got));
	cr_expect(got.r.until_ms == 0 && got.r.failure == FAILURE_REFUSED);
	r.r.state = RECIPIENT_SHELVED;
	r.r.failure = FAILURE_EXPIRED;
	r.r.until_ms = 1790000000004;
	n = (size_t)(recipient_put(value, &r) - value);
	cr_expect_eq(n, recipient_size(&r));
	cr_expect_eq(n, held + 9);
	cr_assert(recipient_get(span_of(value, n), &got));
	cr_expect_eq(got.r.state, RECIPIENT_SHELVED);
	cr_expect_eq(got.r.failure, FAILURE_EXPIRED);
	cr_expect_eq(got.r.until_ms, 1790000000004);
	cr_expect_not(recipient_get(span_of(value, held), &got));
}

/* A reply may be long; what is kept of it is not. */
Test(spool_codec, replies_are_cut)
{
	char text[5000];
	struct recipient_row r = sample_recipient(), got;
	char *p;

	memset(text, 'x', sizeof(text));
	r.r.last_reply = span_of(text, sizeof(text));
	p = malloc(recipient_size(&r));
	cr_assert_eq(recipient_put(p, &r), p + recipient_size(&r));
	cr_assert(recipient_get(span_of(p, recipient_size(&r)), &got));
	cr_expect_eq(got.r.last_reply.n, RECORD_TEXT_MAX);
	free(p);
}

Test(spool_codec, domain_and_target_come_back)
{
	struct domain_row d = { .oldest_id = 99 }, dgot = { 0 };
	struct spool_target t = { .is_up = true,
				  .since_ms = 5,
				  .latency_ms = 77,
				  .checked_ms = 6,
				  .ehlo_ms = 7 },
			    tgot = { 0 };
	char value[DOMAIN_ROW_MAX + TARGET_ROW_MAX];
	char *end;

	d.d.units = 3;
	d.d.bytes = 1ULL << 40;
	d.d.ready = 1;
	d.d.deferred = 2;
	d.d.refused = 3;
	d.d.refused_bytes = 1ULL << 39;
	d.d.is_held = true;
	/* as long as they can be, without a NUL at the end */
	memset(d.d.hold_reason, 'r', sizeof(d.d.hold_reason));
	memset(d.d.destination, 'd', sizeof(d.d.destination));
	end = domain_row_put(value, &d);
	cr_assert_leq((size_t)(end - value), DOMAIN_ROW_MAX);
	cr_assert(domain_row_get(span_of(value, (size_t)(end - value)), &dgot));
	cr_expect(dgot.d.units == 3 && dgot.d.bytes == 1ULL << 40 &&
		  dgot.d.deferred == 2 && dgot.d.refused == 3 && dgot.oldest_id == 99);
	cr_expect_eq(dgot.d.refused_bytes, 1ULL << 39);
	/* as earlier versions wrote it */
	cr_assert(domain_row_get(span_of(value, (size_t)(end - value) - 8),
				 &dgot));
	cr_expect(dgot.d.refused == 3 && dgot.d.refused_bytes == 0);
	cr_expect(dgot.d.is_held && !dgot.d.is_unlisted);
	d.d.is_held = false;
	d.d.is_unlisted = true;
	end = domain_row_put(value, &d);
	cr_assert(domain_row_get(span_of(value, (size_t)(end - value)), &dgot));
	cr_expect(!dgot.d.is_held && dgot.d.is_unlisted);
	cr_expect_eq(strlen(dgot.d.hold_reason), 255);
	memset(t.last_reply, 'r', sizeof(t.last_reply));
	memset(t.ehlo, 'e', sizeof(t.ehlo));
	end = target_row_put(value, &t);
	cr_assert_leq((size_t)(end - value), TARGET_ROW_MAX);
	cr_assert(target_row_get(span_of(value, (size_t)(end - value)), &tgot));
	cr_expect(tgot.is_up && tgot.since_ms == 5 && tgot.latency_ms == 77 &&
		  tgot.checked_ms == 6 && tgot.ehlo_ms == 7);
	cr_expect_eq(strlen(tgot.ehlo), 255);
	/* of earlier versions */
	cr_assert(target_row_get(span_of(value, (size_t)(end - value) - 8),
				 &tgot));
	cr_expect(tgot.checked_ms == 6 && tgot.ehlo_ms == 0);
	cr_assert(target_row_get(span_of(value, (size_t)(end - value) - 16),
				 &tgot));
	cr_expect(tgot.checked_ms == 0 && tgot.ehlo_ms == 0);
	cr_expect_eq(strlen(tgot.ehlo), 255);
}

/* Every cut, and every damaged byte, is refused or decodes in bounds: the
 * value stands at the very end of its memory, for the sanitizer to see. */
static void damage(const char *good, size_t n, bool (*decode)(struct span v))
{
	for (size_t cut = 0; cut < n; cut++) {
		char *p = malloc(cut + 1);

		memcpy(p + 1, good, cut);
		cr_expect_not(decode((struct span){ p + 1, cut }), "cut %zu",
			      cut);
		free(p);
	}
	for (size_t i = 0; i < n * 4; i++) {
		static const unsigned char masks[] = { 1, 0x80, 0xff, 0x10 };
		char *p = malloc(n);

		memcpy(p, good, n);
		p[i / 4] = (char)(p[i / 4] ^ masks[i % 4]);
		decode((struct span){ p, n });
		free(p);
	}
}

static bool try_envelope(struct span v)
{
	struct envelope e;
	uint32_t units;

	return envelope_get(v, &e, &units);
}

static bool try_recipient(struct span v)
{
	struct recipient_row r;

	return recipient_get(v, &r);
}

static bool try_domain(struct span v)
{
	struct domain_row r;

	return domain_row_get(v, &r);
}

static bool try_target(struct span v)
{
	struct spool_target t;

	return target_row_get(v, &t);
}

static bool try_state(struct span v)
{
	struct state_row s;

	return state_row_get(v, &s);
}

static bool try_parked(struct span v)
{
	int64_t due;
	struct span reason;

	return parked_get(v, &due, &reason);
}

/* A row of an earlier version has no reason; an empty one is not written. */
Test(spool_codec, a_reason_stands_behind_a_hold)
{
	static const char old[] = "\1\x7f\xff\xff\xff\xff\xff\xff\xff";
	char value[PARKED_ROW_MAX], text[400], *end;
	struct span reason;
	int64_t due;

	cr_assert(parked_get(span_of(old, 9), &due, &reason));
	cr_expect(due == PARKED_HELD && reason.n == 0);
	end = parked_put(value, PARKED_HELD, SPAN_LIT(""));
	cr_expect(span_eq(span_of(value, (size_t)(end - value)),
			  span_of(old, 9)));
	end = parked_put(value, PARKED_HELD, SPAN_LIT("a look at it"));
	cr_assert(parked_get(span_of(value, (size_t)(end - value)), &due,
			     &reason));
	cr_expect(due == PARKED_HELD);
	cr_expect(span_eq(reason, SPAN_LIT("a look at it")));
	memset(text, 'x', sizeof(text));
	end = parked_put(value, PARKED_HELD, span_of(text, sizeof(text)));
	cr_expect_eq(end - value, PARKED_ROW_MAX);
	cr_assert(parked_get(span_of(value, PARKED_ROW_MAX), &due, &reason));
	cr_expect_eq(reason.n, PARKED_REASON_MAX);
}

Test(spool_codec, damage_is_refused)
{
	struct envelope e = sample_envelope();
	struct recipient_row r = sample_recipient();
	struct domain_row d = { .oldest_id = 4 };
	struct spool_target t = { .last_reply = "421 4.3.2 gone" };
	struct state_row s = { .bytes = 5 };
	char value[DOMAIN_ROW_MAX + TARGET_ROW_MAX];

	damage(value, (size_t)(envelope_put(value, &e, 1) - value),
	       try_envelope);
	damage(value, (size_t)(recipient_put(value, &r) - value),
	       try_recipient);
	r.r.state = RECIPIENT_REFUSED;
	damage(value, (size_t)(recipient_put(value, &r) - value),
	       try_recipient);
	damage(value, (size_t)(domain_row_put(value, &d) - value), try_domain);
	damage(value, (size_t)(target_row_put(value, &t) - value), try_target);
	damage(value, (size_t)(state_row_put(value, &s) - value), try_state);
	damage(value, (size_t)(parked_put(value, 5, SPAN_LIT("")) - value),
	       try_parked);
	value[0] = RECORD_VERSION + 1; /* of a later daemon */
	cr_expect_not(try_parked((struct span){ value, 9 }));
}

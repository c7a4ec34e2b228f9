/*
 * Stored records and keys, as a damaged database may hold them.  The first
 * byte says which.
 *
 * - What is read lies inside the value.
 * - What is read is written back as the same bytes.
 */
#include "common/spool/codec.h"
#include "common/spool/keys.h"

#include "tests/fuzz/fuzz.h"

static char out[1 << 20];

static void check_inside(struct span part, struct span whole)
{
	FUZZ_CHECK(part.n == 0 ||
		   (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void check_same(const char *end, struct span value)
{
	FUZZ_CHECK(span_eq(span_of(out, (size_t)(end - out)), value));
}

static void check_envelope(struct span value)
{
	struct envelope e;
	uint32_t units;

	if (!envelope_get(value, &e, &units))
		return;
	check_inside(e.from, value);
	check_inside(e.client_addr, value);
	check_inside(e.helo, value);
	check_inside(e.envid, value);
	check_inside(e.tls, value);
	FUZZ_CHECK(envelope_fits(&e));
	FUZZ_CHECK(envelope_size(&e) == value.n);
	check_same(envelope_put(out, &e, units), value);
	if (units == 0)
		return; /* damage, which who takes one away looks for */
	envelope_set_units(out, units / 2 + 1);
	envelope_set_units(out, units);
	check_same(out + value.n, value);
}

static void check_recipient(struct span value)
{
	struct recipient_row row;

	if (!recipient_get(value, &row))
		return;
	check_inside(row.r.path, value);
	check_inside(row.r.orcpt, value);
	check_inside(row.r.last_reply, value);
	check_inside(row.r.last_host, value);
	FUZZ_CHECK(recipient_size(&row) <= value.n);
	if (recipient_size(&row) == value.n) /* no reply was cut */
		check_same(recipient_put(out, &row), value);
}

/* Texts are cut to what the structs hold, or at a NUL: so twice. */
static void check_domain(struct span value)
{
	struct domain_row row = { 0 }, again = { 0 };
	const char *end;

	if (!domain_row_get(value, &row))
		return;
	end = domain_row_put(out, &row);
	FUZZ_CHECK(end - out <= DOMAIN_ROW_MAX);
	FUZZ_CHECK(domain_row_get(span_of(out, (size_t)(end - out)), &again));
	FUZZ_CHECK(again.d.units == row.d.units);
	FUZZ_CHECK(strcmp(again.d.hold_reason, row.d.hold_reason) == 0);
	FUZZ_CHECK(strcmp(again.d.destination, row.d.destination) == 0);
}

static void check_target(struct span value)
{
	struct spool_target row = { 0 }, again = { 0 };
	const char *end;

	if (!target_row_get(value, &row))
		return;
	end = target_row_put(out, &row);
	FUZZ_CHECK(end - out <= TARGET_ROW_MAX);
	FUZZ_CHECK(target_row_get(span_of(out, (size_t)(end - out)), &again));
	FUZZ_CHECK(again.since_ms == row.since_ms);
	FUZZ_CHECK(again.checked_ms == row.checked_ms);
	FUZZ_CHECK(strcmp(again.last_reply, row.last_reply) == 0);
	FUZZ_CHECK(strcmp(again.ehlo, row.ehlo) == 0);
}

static void check_known(struct span value)
{
	struct spool_known row = { 0 }, again = { 0 };
	const char *end;

	if (!known_row_get(value, &row))
		return;
	end = known_row_put(out, &row);
	FUZZ_CHECK(end - out <= KNOWN_ROW_MAX);
	FUZZ_CHECK(known_row_get(span_of(out, (size_t)(end - out)), &again));
	FUZZ_CHECK(again.what == row.what && again.is_asked == row.is_asked);
	FUZZ_CHECK(again.at_ms == row.at_ms && again.down_ms == row.down_ms);
	FUZZ_CHECK(again.destination == row.destination);
	FUZZ_CHECK(strcmp(again.reply, row.reply) == 0);
}

static void check_small(struct span value)
{
	struct state_row state;
	struct span reason;
	int64_t due_ms;

	if (parked_get(value, &due_ms, &reason))
		check_same(parked_put(out, due_ms, reason), value);
	if (state_row_get(value, &state))
		check_same(state_row_put(out, &state), value);
}

static void check_key(const struct key *k, struct span key)
{
	FUZZ_CHECK(span_eq(span_of(k->b, k->n), key));
}

static void check_keys(struct span key)
{
	struct span domain;
	uint64_t id, offset;
	uint32_t number;
	int64_t ms;
	enum expiry_kind expiry;
	enum garbage_kind garbage;
	struct key k;

	if (key_message_parse(key, &id))
		key_message(&k, id), check_key(&k, key);
	if (key_content_parse(key, &id, &offset))
		key_content(&k, id, offset), check_key(&k, key);
	if (key_recipient_parse(key, &id, &domain, &number))
		key_recipient(&k, id, domain, number), check_key(&k, key);
	if (key_ready_parse(key, &domain, &id))
		key_ready(&k, domain, id), check_key(&k, key);
	if (key_deferred_parse(key, &ms, &domain, &id))
		key_deferred(&k, ms, domain, id), check_key(&k, key);
	if (key_expiry_parse(key, &ms, &id, &domain, &expiry))
		key_expiry(&k, ms, id, domain, expiry), check_key(&k, key);
	if (key_garbage_parse(key, &garbage, &id))
		key_garbage(&k, garbage, id), check_key(&k, key);
	if (key_domain_parse(key, &domain))
		key_domain(&k, domain), check_key(&k, key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const checks[])(struct span) = {
		check_envelope, check_recipient, check_domain,
		check_target,	check_small,	 check_keys,
		check_known,
	};
	struct span in = span_of(data, size);
	unsigned which = fuzz_byte(&in);

	if (in.n < sizeof(out) / 2)
		checks[which % (sizeof(checks) / sizeof(checks[0]))](in);
	return 0;
}

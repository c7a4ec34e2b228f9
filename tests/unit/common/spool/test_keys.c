#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/spool/keys.h"

static struct span span_of_key(const struct key *k)
{
	return span_of(k->b, k->n);
}

static int compare(const struct key *a, const struct key *b)
{
	size_t n = a->n < b->n ? a->n : b->n;
	int c = memcmp(a->b, b->b, n);

	return c != 0 ? c : (a->n > b->n) - (a->n < b->n);
}

Test(spool_keys, what_is_built_is_what_is_parsed)
{
	struct span domain = SPAN_LIT("example.com"), name;
	enum expiry_kind kind;
	enum garbage_kind garbage;
	uint64_t id, offset;
	uint32_t number;
	int64_t at;
	struct key k;

	key_message(&k, 0x0198a5c3f2100001);
	cr_assert(key_message_parse(span_of_key(&k), &id));
	cr_expect_eq(id, 0x0198a5c3f2100001);
	key_content(&k, 7, 1ULL << 40);
	cr_assert(key_content_parse(span_of_key(&k), &id, &offset));
	cr_expect(id == 7 && offset == 1ULL << 40);
	key_recipient(&k, 9, domain, UINT32_MAX);
	cr_assert(key_recipient_parse(span_of_key(&k), &id, &name, &number));
	cr_expect(id == 9 && number == UINT32_MAX && span_eq(name, domain));
	key_ready(&k, domain, 5);
	cr_assert(key_ready_parse(span_of_key(&k), &name, &id));
	cr_expect(id == 5 && span_eq(name, domain));
	key_deferred(&k, 1790000000000, domain, 6);
	cr_assert(key_deferred_parse(span_of_key(&k), &at, &name, &id));
	cr_expect(id == 6 && at == 1790000000000 && span_eq(name, domain));
	key_expiry(&k, 1790000000001, 8, domain, EXPIRY_WARNING);
	cr_assert(key_expiry_parse(span_of_key(&k), &at, &id, &name, &kind));
	cr_expect(id == 8 && at == 1790000000001 && kind == EXPIRY_WARNING);
	key_garbage(&k, GARBAGE_OPEN, 3);
	cr_assert(key_garbage_parse(span_of_key(&k), &garbage, &id));
	cr_expect(id == 3 && garbage == GARBAGE_OPEN);
	key_domain(&k, SPAN_LIT(""));
	cr_assert(key_domain_parse(span_of_key(&k), &name));
	cr_expect_eq(name.n, 0);
}

/* One domain's rows are never among another's, and stand by id. */
Test(spool_keys, order_is_domain_then_id)
{
	static const struct {
		const char *domain;
		uint64_t id;
	} rising[] = {
		{ "a", 1 },	      { "a", UINT64_MAX },  { "a.example", 1 },
		{ "a.example", 256 }, { "a.example.x", 0 }, { "b", 2 },
	};
	struct key before, k;

	key_ready(&before, span_str(rising[0].domain), rising[0].id);
	for (size_t i = 1; i < COUNT(rising); i++) {
		key_ready(&k, span_str(rising[i].domain), rising[i].id);
		cr_expect_lt(compare(&before, &k), 0, "row %zu", i);
		before = k;
	}
}

/* A damaged key is refused, cut wherever it may be. */
Test(spool_keys, cut_keys_are_refused)
{
	struct span name;
	enum expiry_kind kind;
	enum garbage_kind garbage;
	uint64_t id, offset;
	uint32_t number;
	int64_t at;
	struct key k;

	key_expiry(&k, 1, 2, SPAN_LIT("example.com"), EXPIRY_END);
	for (size_t n = 0; n < k.n; n++) {
		struct span cut = { (char *)k.b, n };

		cr_expect_not(key_expiry_parse(cut, &at, &id, &name, &kind));
	}
	k.b[k.n - 1] = 3;
	cr_expect_not(
		key_expiry_parse(span_of_key(&k), &at, &id, &name, &kind));
	key_recipient(&k, 1, SPAN_LIT("example.com"), 1);
	for (size_t n = 0; n < k.n; n++) {
		struct span cut = { (char *)k.b, n };

		cr_expect_not(key_recipient_parse(cut, &id, &name, &number));
		if (n != 16)
			cr_expect_not(key_content_parse(cut, &id, &offset));
		if (n == 9)
			continue; /* the length of two other keys */
		cr_expect_not(key_ready_parse(cut, &name, &id));
		cr_expect_not(key_garbage_parse(cut, &garbage, &id));
	}
}

Test(spool_keys, longest_domain_fits)
{
	char name[300];
	struct span s = { name, KEY_DOMAIN_MAX }, got;
	enum expiry_kind kind;
	uint64_t id;
	int64_t at;
	struct key k;

	memset(name, 'x', sizeof(name));
	cr_assert(key_domain_is_valid(s));
	cr_expect_not(key_domain_is_valid((struct span){ name, 256 }));
	cr_expect_not(key_domain_is_valid(SPAN_LIT("a\0b")));
	key_expiry(&k, 1, 2, s, EXPIRY_END);
	cr_expect_leq(k.n, sizeof(k.b));
	cr_assert(key_expiry_parse(span_of_key(&k), &at, &id, &got, &kind));
	cr_expect(span_eq(got, s));
	k.n = 0;
	memset(k.b, 'x', sizeof(k.b));
	k.b[260] = '\0'; /* a name that is longer than any domain */
	k.n = 261;
	cr_expect_not(key_domain_parse(span_of_key(&k), &got));
}

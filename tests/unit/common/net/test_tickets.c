#include <criterion/criterion.h>
#include <string.h>

#include "common/net/tickets.h"

static struct tickets *t;

static void setup(void)
{
	t = tickets_new();
}

static void teardown(void)
{
	tickets_free(&t);
}

TestSuite(tickets, .init = setup, .fini = teardown);

static struct ticket_key key_at(int64_t now_ms)
{
	struct ticket_key k;

	cr_assert(tickets_key(t, now_ms, &k));
	return k;
}

static enum ticket_age age_at(int64_t now_ms, const struct ticket_key *k)
{
	struct ticket_key found;
	enum ticket_age age = tickets_find(t, now_ms, k->name, &found);

	if (age != TICKET_UNKNOWN)
		cr_expect_eq(memcmp(&found, k, sizeof(found)), 0);
	return age;
}

/* Whenever a ticket was made, it is understood for as long as its session
 * lives; and no longer than twice that. */
Test(tickets, life_of_a_key)
{
	const int64_t start = 1000, end = start + TICKETS_MS;
	const struct ticket_key first = key_at(start);
	struct ticket_key second;

	cr_expect_eq(age_at(end - 1, &first), TICKET_CURRENT);
	second = key_at(end - 1);
	cr_expect_eq(memcmp(&first, &second, sizeof(first)), 0);

	second = key_at(end);
	cr_expect_neq(memcmp(first.name, second.name, TICKET_NAME), 0);
	cr_expect_neq(memcmp(first.cipher, second.cipher, TICKET_KEY), 0);
	cr_expect_eq(age_at(end, &first), TICKET_OLD);
	cr_expect_eq(age_at(end + TICKETS_MS - 1, &first), TICKET_OLD);
	cr_expect_eq(age_at(end + TICKETS_MS, &first), TICKET_UNKNOWN);
	cr_expect_eq(age_at(end + TICKETS_MS, &second), TICKET_OLD);
}

/* Nobody came for a day. */
Test(tickets, a_long_silence)
{
	const struct ticket_key first = key_at(1);

	cr_expect_eq(age_at(DAYS(1), &first), TICKET_UNKNOWN);
	cr_expect_neq(memcmp(key_at(DAYS(1)).name, first.name, TICKET_NAME), 0);
}

Test(tickets, anothers_ticket_is_unknown)
{
	struct ticket_key k = key_at(1);

	k.name[0] ^= 1;
	cr_expect_eq(age_at(1, &k), TICKET_UNKNOWN);
}

/* Who never comes back with one gets few; who does, all. */
Test(tickets, for_who_comes_back)
{
	unsigned few = 0;

	for (int i = 0; i < TICKETS_TRIED; i++)
		cr_assert(tickets_are_worth(t, 7, false));
	for (int i = 0; i < 64; i++)
		few += tickets_are_worth(t, 7, false);
	cr_expect_eq(few, 64 / TICKETS_TRIED);
	cr_expect(tickets_are_worth(t, 8, false), "another's lane");
	cr_expect(tickets_are_worth(t, 7, true));
	for (int i = 0; i < TICKETS_TRIED; i++)
		cr_expect(tickets_are_worth(t, 7, false));
}

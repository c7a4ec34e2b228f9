#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>

#include "common/base/clock.h"
#include "daemon/mirror/hand.h"

static struct hand *hand;

static void setup(void)
{
	hand = hand_new();
	hand_set_patience(hand, SECONDS(60));
}

static void teardown(void)
{
	hand_free(&hand);
}

TestSuite(hand, .init = setup, .fini = teardown, .timeout = 60);

static struct parcel *parcel_of(uint64_t id)
{
	struct parcel *p = parcel_new();

	parcel_add(p, &(struct parcel_item){ .kind = PARCEL_GONE, .id = id });
	return p;
}

static bool is_readable(void)
{
	struct pollfd fd = { .fd = hand_fd(hand), .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

/* Until joined nothing reaches the scribe, and nobody waits for him. */
Test(hand, closed_until_joined)
{
	uint64_t seq;

	hand_offer(hand, parcel_of(1), 1);
	cr_expect_null(hand_take(hand, &seq));
	cr_expect_eq(hand_wait(hand), MX_ENOENT);
	cr_expect_not(hand_is_open(hand));
}

struct scribe {
	enum mx_err answer;
	uint64_t seq;
	size_t count;
};

static void *answer_one(void *arg)
{
	struct scribe *s = arg;
	struct pollfd fd = { .fd = hand_fd(hand), .events = POLLIN };
	struct parcel *p = NULL;

	while (p == NULL && poll(&fd, 1, 30000) == 1)
		p = hand_take(hand, &s->seq);
	s->count = parcel_count(p);
	hand_answer(hand, s->answer);
	parcel_free(&p);
	return NULL;
}

static enum mx_err exchange(struct scribe *s, uint64_t seq)
{
	pthread_t thread;
	enum mx_err err;

	pthread_create(&thread, NULL, answer_one, s);
	hand_offer(hand, parcel_of(seq), seq);
	err = hand_wait(hand);
	pthread_join(thread, NULL);
	return err;
}

Test(hand, what_is_written_is_answered)
{
	struct scribe s = { MX_OK, 0, 0 };

	hand_joined(hand);
	for (uint64_t seq = 1; seq < 4; seq++) {
		cr_expect_eq(exchange(&s, seq), MX_OK);
		cr_expect_eq(s.seq, seq);
		cr_expect_eq(s.count, 1);
		cr_expect(hand_is_open(hand));
	}
	cr_expect_not(is_readable());
}

/* After a failure nothing goes through before both have joined again. */
Test(hand, a_failure_closes)
{
	struct scribe s = { MX_ETIME, 0, 0 };

	hand_joined(hand);
	cr_expect_eq(exchange(&s, 1), MX_ETIME);
	hand_offer(hand, parcel_of(2), 2);
	cr_expect_eq(hand_wait(hand), MX_ENOENT);
	hand_joined(hand);
	s.answer = MX_OK;
	cr_expect_eq(exchange(&s, 3), MX_OK);
}

/* The writer does not wait for ever; who answers later is not heard. */
Test(hand, patience_ends)
{
	struct parcel *p;
	uint64_t seq;

	hand_set_patience(hand, 30);
	hand_joined(hand);
	hand_offer(hand, parcel_of(1), 1);
	p = hand_take(hand, &seq);
	cr_expect_eq(hand_wait(hand), MX_ETIME);
	cr_expect_not(hand_is_open(hand));
	hand_answer(hand, MX_OK);
	parcel_free(&p);
	hand_joined(hand);
	hand_offer(hand, parcel_of(2), 2);
	p = hand_take(hand, &seq);
	cr_expect_eq(hand_wait(hand), MX_ETIME, "that was another's answer");
	parcel_free(&p);
}

/* It is known that the database has nothing of it. */
Test(hand, what_is_not_taken_is_not_there)
{
	uint64_t seq;

	hand_set_patience(hand, 30);
	hand_joined(hand);
	hand_offer(hand, parcel_of(1), 1);
	cr_expect_eq(hand_wait(hand), MX_ENOENT);
	cr_expect_null(hand_take(hand, &seq));
}

static void *close_it(void *arg)
{
	(void)arg;
	hand_close(hand);
	return NULL;
}

Test(hand, who_waits_hears_that_it_is_closed)
{
	pthread_t thread;

	hand_joined(hand);
	hand_offer(hand, parcel_of(1), 1);
	pthread_create(&thread, NULL, close_it, NULL);
	cr_expect_eq(hand_wait(hand), MX_ENOENT);
	pthread_join(thread, NULL);
}

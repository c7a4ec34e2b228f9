/* The chain: who is asked, in which order, and when the answer comes. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/policy/gate.h"

enum mode { GO, REFUSE, LATER, INSIDE_GO, INSIDE_REFUSE };

/* A link that does as it is told. */
struct puppet {
	enum mode mode;
	unsigned asked, cancelled;
	struct gate_question *out;
};
static struct puppet one, two;

static enum gate_reply ask(struct gate_question *q, struct verdict *v)
{
	struct puppet *p = q->link_arg;
	struct verdict own;

	p->asked++;
	cr_expect_null(q->link_job);
	switch (p->mode) {
	case GO:
		return GATE_GO;
	case REFUSE:
		return gate_refuse(v, V_NULL_MX);
	case INSIDE_GO:
		gate_answer(q, NULL);
		return GATE_LATER;
	case INSIDE_REFUSE:
		verdict_set(&own, V_LOOP);
		gate_answer(q, &own);
		return GATE_LATER;
	case LATER:
		break;
	}
	p->out = q;
	q->link_job = p;
	return GATE_LATER;
}

static void cancel(struct gate_question *q)
{
	struct puppet *p = q->link_arg;

	cr_expect_eq(q->link_job, p);
	p->cancelled++;
	p->out = NULL;
}

static bool is_strict(const struct config *c)
{
	return c->limits.hops == 1;
}

#define ALL                                                                    \
	{                                                                      \
		ask, ask, ask, ask, ask                                        \
	}
static const struct gate_link first = { .name = "first",
					.ask = ALL,
					.cancel = cancel };
static const struct gate_link second = { .name = "second",
					 .ask = ALL,
					 .cancel = cancel };
static const struct gate_link strict = { .name = "strict",
					 .is_on = is_strict,
					 .ask = ALL,
					 .cancel = cancel };
static const struct gate_link at_mail = { .name = "at_mail",
					  .ask = { [GATE_MAIL] = ask } };

static int answers, answered_code;

static void on_answer(struct gate_question *q, const struct verdict *v)
{
	(void)q;
	answers++;
	answered_code = v->code;
}

static struct config config;
static struct gate *gate;

static void open_gate(const struct gate_link *a, const struct gate_link *b)
{
	one = two = (struct puppet){ .mode = GO };
	answers = 0;
	gate = gate_new();
	gate_add(gate, a, &one);
	gate_add(gate, b, &two);
	gate_configure(gate, &config);
}

static struct gate_question question(enum gate_moment moment)
{
	return (struct gate_question){ .cb = on_answer, .moment = moment };
}

/* The first that refuses decides, at whichever moment, and says so at once. */
Test(gate, first_refusal_decides)
{
	static const struct {
		enum mode one, two;
		int code;
		unsigned asked; /* the second one */
	} cases[] = {
		{ GO, GO, 0, 1 },
		{ GO, REFUSE, 556, 1 },
		{ REFUSE, GO, 556, 0 },
		{ INSIDE_GO, GO, 0, 1 },
		{ INSIDE_GO, INSIDE_REFUSE, 554, 1 },
		{ INSIDE_REFUSE, GO, 554, 0 },
	};

	open_gate(&first, &second);
	for (size_t i = 0; i < COUNT(cases); i++)
		for (int m = 0; m < GATE_MOMENTS; m++) {
			struct gate_question q = question((enum gate_moment)m);
			struct verdict v;

			one = (struct puppet){ .mode = cases[i].one };
			two = (struct puppet){ .mode = cases[i].two };
			cr_assert(gate_ask(gate, &q, &v));
			cr_expect_eq(v.code, cases[i].code, "%zu", i);
			cr_expect_eq(one.asked, 1);
			cr_expect_eq(two.asked, cases[i].asked, "%zu", i);
		}
	cr_expect_eq(answers, 0);
	gate_free(&gate);
}

/* Who waits hears the rest of the chain, too. */
Test(gate, later)
{
	static const struct {
		enum mode two;
		bool refuse;
		int code;
		unsigned asked; /* the second one */
	} cases[] = {
		{ GO, false, 0, 1 },
		{ GO, true, 554, 0 },
		{ REFUSE, false, 556, 1 },
		{ INSIDE_REFUSE, false, 554, 1 },
	};
	struct verdict v, no;

	verdict_set(&no, V_LOOP);
	open_gate(&first, &second);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct gate_question q = question(GATE_RCPT);

		answers = 0;
		one = (struct puppet){ .mode = LATER };
		two = (struct puppet){ .mode = cases[i].two };
		cr_assert_not(gate_ask(gate, &q, &v));
		cr_expect_str_eq(gate_waits_for(&q), "first");
		cr_expect_eq(two.asked, 0);
		gate_answer(one.out, cases[i].refuse ? &no : NULL);
		cr_expect_eq(answers, 1);
		cr_expect_eq(answered_code, cases[i].code, "%zu", i);
		cr_expect_eq(two.asked, cases[i].asked, "%zu", i);
	}
	gate_free(&gate);
}

/* One behind the other; whose turn it is hears of the end. */
Test(gate, two_wait_and_one_is_cancelled)
{
	struct gate_question q = question(GATE_END);
	struct verdict v;

	open_gate(&first, &second);
	one.mode = two.mode = LATER;
	cr_assert_not(gate_ask(gate, &q, &v));
	gate_answer(one.out, NULL);
	cr_expect_eq(answers, 0);
	cr_expect_str_eq(gate_waits_for(&q), "second");
	gate_cancel(&q);
	cr_expect_eq(one.cancelled, 0);
	cr_expect_eq(two.cancelled, 1);
	/* and it may be asked again */
	one.mode = two.mode = GO;
	cr_expect(gate_ask(gate, &q, &v));
	cr_expect_eq(answers, 0);
	gate_free(&gate);
}

/* What is switched off, or has nothing to say, is not called. */
Test(gate, only_who_wants_to)
{
	struct gate_question q = question(GATE_MAIL);
	struct verdict v;

	open_gate(&at_mail, &strict);
	cr_expect(gate_ask(gate, &q, &v));
	cr_expect_eq(one.asked, 1);
	cr_expect_eq(two.asked, 0);
	q = question(GATE_RCPT);
	cr_expect(gate_ask(gate, &q, &v));
	cr_expect_eq(one.asked, 1);
	config.limits.hops = 1;
	gate_configure(gate, &config);
	cr_expect(gate_ask(gate, &q, &v));
	cr_expect_eq(two.asked, 1);
	gate_free(&gate);
}

/* Links that come and go while a question is out: it goes on behind its own. */
Test(gate, reload_while_out)
{
	struct gate_question q = question(GATE_RCPT);
	struct verdict v;

	config.limits.hops = 1;
	open_gate(&strict, &second);
	one.mode = LATER;
	cr_assert_not(gate_ask(gate, &q, &v));
	config.limits.hops = 2; /* off: it answers all the same */
	gate_configure(gate, &config);
	gate_answer(one.out, NULL);
	cr_expect_eq(answers, 1);
	cr_expect_eq(two.asked, 1);
	gate_free(&gate);
}

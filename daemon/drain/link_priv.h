/* The inside of link.h. */
#ifndef MX_DRAIN_LINK_PRIV_H
#define MX_DRAIN_LINK_PRIV_H

#include "daemon/drain/deferral.h"

/* ---- link_say.c ---- */
void link_say_probe(const struct link *l, const char *result, const char *stage,
		    const char *reply);
void link_say_failure(const struct link *l, const char *stage,
		      const char *reply);
void link_say_end(struct link *l, const struct delivery_end *end);

/* ---- link_learn.c ---- */
bool link_is_answer(const struct delivery_job *job);
bool link_is_decided(const struct delivery_job *job);
void link_learn_without(const struct link *l, const struct delivery *dl);
void link_test_without(const struct link *l, bool is_better);
void link_learn_recipients(const struct link *l, const struct attempt *a);
void link_take_latency(const struct link *l, const struct delivery_job *job);

/* ---- link_up.c ---- */
void link_be_ready(struct link *l);
void link_come_up(struct link *l, const char *stage, struct span reply);
void link_try(struct link *l);
/* Was the message of the trial refused? */
bool link_judge_trial(struct link *l, const struct delivery_job *job);
void link_go_on_trial(struct link *l, bool is_refused);
enum temper_news link_learn_temper(struct link *l, struct attempt *a);

#endif

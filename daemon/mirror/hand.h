/*
 * From hand to hand: the spool's writer offers a parcel and waits, the scribe
 * takes it, writes it to the database, and answers.  One parcel at a time.
 */
#ifndef MX_MIRROR_HAND_H
#define MX_MIRROR_HAND_H

#include "common/spool/mirror.h"

struct hand;

struct hand *hand_new(void);
void hand_free(struct hand **h);
/* How long the writer waits; from any thread. */
void hand_set_patience(struct hand *h, int64_t patience_ms);

/* ---- The writer ---- */

void hand_joined(struct hand *h);
/* Taken.  Before hand_joined, and after a wait that failed, for nothing. */
void hand_offer(struct hand *h, struct parcel *p, uint64_t seq);
/* MX_OK: the database has it.  MX_ENOENT: it was not taken, so it has not.
 * Anything else: nobody knows.  Then nothing is offered until the next
 * hand_joined. */
enum mx_err hand_wait(struct hand *h);

/* ---- The scribe ---- */

/* To be read when something is offered. */
int hand_fd(const struct hand *h);
/* What is offered; NULL: nothing.  Then owned, and to be answered. */
struct parcel *hand_take(struct hand *h, uint64_t *seq);
void hand_answer(struct hand *h, enum mx_err err);
/* Is the writer still in step with us? */
bool hand_is_open(struct hand *h);
/* It is not: whoever waits hears so. */
void hand_close(struct hand *h);

#endif

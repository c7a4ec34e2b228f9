/* Two ends of a loopback connection for tests of common/net and above. */
#ifndef MX_TESTS_SIDES_H
#define MX_TESTS_SIDES_H

#include <ev.h>

#include "common/base/buf.h"
#include "common/net/conn.h"

enum side_event { SIDE_INPUT, SIDE_READY, SIDE_DRAINED, SIDE_END };

/* One end and what it has seen.  Input is consumed to got unless hook is set
 * and returns true (it saw to the event itself). */
struct side {
	struct conn *c;
	struct buf got;
	unsigned inputs, readies, draineds, ends;
	enum conn_end why;
	char error[256];
	bool (*hook)(struct side *s, enum side_event e);
	void *arg;
};

extern const struct conn_events side_events;

/* From now on accepted ends are served by threads, handshakes as well. */
void sides_spread(struct ev_loop *loop);
/* And no more, if they were; the ends are closed. */
void sides_gather(void);

/* A case of two suites: with and without sides_spread. */
#define SIDES_BOTH(plain, spread, name)                                        \
	static void name(void);                                                \
	Test(plain, name)                                                      \
	{                                                                      \
		name();                                                        \
	}                                                                      \
	Test(spread, name)                                                     \
	{                                                                      \
		name();                                                        \
	}                                                                      \
	static void name(void)

/* A connected pair; server is the accepted end. */
void sides_open(struct ev_loop *loop, struct side *client, struct side *server);
/* The same, but the far end is a plain blocking descriptor. */
int sides_open_raw(struct ev_loop *loop, struct side *server);
void side_close(struct side *s);

/* Run the loop until *what >= least, or fail the test after 5 s. */
void run_until(struct ev_loop *loop, const unsigned *what, unsigned least);
/* Until s->got holds n bytes. */
void run_until_got(struct ev_loop *loop, const struct side *s, size_t n);
/* Let the loop go on for so long. */
void run_for(struct ev_loop *loop, int64_t ms);

#endif

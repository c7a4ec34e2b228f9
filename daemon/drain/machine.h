/*
 * What a destination does next: pure decisions over an explicit clock.  No
 * socket, timer, log or spool: those are around it, in dest.c.
 *
 * Times are monotonic milliseconds, given as now_ms.
 */
#ifndef MX_DRAIN_MACHINE_H
#define MX_DRAIN_MACHINE_H

#include "daemon/drain/drain.h"
#include "daemon/drain/refusals.h"

/* How a connection, or the try to make one, ended: as far as the machine
 * cares. */
enum machine_fault {
	FAULT_NONE,    /* orderly */
	FAULT_GONE,    /* unreachable, dropped, timed out, no TLS */
	FAULT_BUSY,    /* it answered, but does not want us now */
	FAULT_REFUSES, /* it talks to us, and refuses every message for now */
};

/* One address of one host. */
struct machine_target {
	unsigned rank;	     /* MX preference; lower is better */
	unsigned host;	     /* the same for all addresses of one */
	int family;	     /* of the address: any number */
	unsigned links;	     /* connections: the caller counts them */
	bool is_up, is_down; /* neither: not tried yet */
	bool is_busy;	     /* down, but it answered */
	int64_t since_ms;    /* up or down since */
	int64_t next_ms;     /* not to be tried before; 0: at once */
	int64_t started_ms;  /* of the last try */
	int64_t heard_ms;    /* when it was last known to be up or down; 0:
				never */
	int64_t good_ms;     /* good-day latency of a transaction; 0: ? */
	struct refusals refusals;
};

struct machine_params {
	int64_t probe_max_ms, probe_busy_ms, connect_timeout_ms;
	unsigned connections;
};

struct machine {
	struct machine_params params;
	enum drain_state state;
	int64_t since_ms; /* of the last change between up and down */
	struct machine_target *targets; /* the caller's; in order of trial */
	size_t count;
	/* slow start */
	unsigned limit;	 /* connections at once */
	unsigned streak; /* successes since the limit changed */
	unsigned cap;	 /* more were refused, until: */
	int64_t capped_until_ms;
	int64_t latency_ms8; /* smoothed, times 8 */
	int64_t slowed_ms;   /* when latency last halved the limit */
	int64_t resume_ms;   /* we cannot connect at all; 0: we can */
	uint64_t seed;	     /* of the jitter */
};

enum { MACHINE_NONE = -1 };

void machine_init(struct machine *m, const struct machine_params *params,
		  uint64_t seed);
/* Other targets: the state is asked anew from what they are known to be. */
void machine_set_targets(struct machine *m, struct machine_target *targets,
			 size_t count);

/*
 * The wait between two probes: 5 % of the outage so far at most, jitter
 * included, at least 1 s, at most probe_max; busy hosts at least probe_busy.
 */
int64_t machine_wait_ms(const struct machine_params *p, int64_t outage_ms,
			enum machine_fault fault, unsigned percent);

/*
 * Which target to connect to now, or MACHINE_NONE.  has_mail: something
 * waits; live: connections that work; trying: connections being made.
 */
int machine_next(struct machine *m, bool has_mail, unsigned live,
		 unsigned trying, int64_t now_ms);
/* The target for a connection beside those it decides on; MACHINE_NONE: all are
 * down, and their time has not come. */
int machine_any(const struct machine *m, int64_t now_ms);
/* May this target be tried now? */
bool machine_may_try(const struct machine_target *t, int64_t now_ms);
/* It is not up, and a target may be tried now. */
bool machine_is_due(const struct machine *m, int64_t now_ms);
/* And is that one not known to be down? */
bool machine_is_due_anew(const struct machine *m, int64_t now_ms);
/* A down target of better rank than the best that is up, or of an equal host,
 * if one is due: worth a probe beside the running connections.  MACHINE_NONE:
 * no. */
int machine_better(const struct machine *m, int64_t now_ms);
/* An equal with fewer connections than this one, which may hand a connection
 * over to it.  MACHINE_NONE: none. */
int machine_relief(const struct machine *m, int target);
/* What nobody has asked for longer than age_ms, and nobody talks to now, is not
 * known any more, up or down. */
void machine_forget(struct machine *m, int64_t age_ms, int64_t now_ms);
/* When machine_next or machine_better may have another answer; 0: never. */
int64_t machine_timer(const struct machine *m);

/* How long it may take to connect. */
int64_t machine_connect_ms(const struct machine *m, int target);
/* And to be greeted; 0: as long as any reply. */
int64_t machine_greeting_ms(const struct machine *m, int target);

/* A connection is being made. */
void machine_started(struct machine *m, int target, int64_t now_ms);
/* It can be given mail. */
void machine_ready(struct machine *m, int target, int64_t now_ms);
/* It failed.  live_here: other working connections to the same target, live:
 * to any. */
void machine_failed(struct machine *m, int target, enum machine_fault fault,
		    unsigned live_here, unsigned live, int64_t now_ms);
/* It refuses everybody (refusals_add): no more mail goes there.  live: working
 * connections to other targets. */
void machine_refused(struct machine *m, int target, unsigned live,
		     int64_t now_ms);
/* Is a connection to it not enough to call it up?  Then it is machine_ready
 * when it has taken a message, and machine_failed when it has not. */
bool machine_wants_trial(const struct machine *m, int target);
/* It could not be made for want of something of ours: no target is the worse
 * for it, and all are left alone for a second. */
void machine_starved(struct machine *m, int64_t now_ms);
/* A working connection ended; has_progressed: it finished a job. */
void machine_ended(struct machine *m, int target, enum machine_fault fault,
		   bool has_progressed, unsigned live_here, unsigned live,
		   int64_t now_ms);
/* Another connection to it, which does not count here, was greeted. */
void machine_greeted(struct machine *m, int target, int64_t now_ms);
/* Is one up that was heard of since then? */
bool machine_has_heard(const struct machine *m, int64_t since_ms);
/* The best the target was seen to do is forgotten slowly: so long a transaction
 * takes there just now, smoothed. */
void machine_learn_good(struct machine *m, int target, int64_t smooth_ms);
/* A transaction was answered in so many ms. */
void machine_success(struct machine *m, int target, int64_t latency_ms,
		     int64_t now_ms);
/* Somebody says it is back: every target may be tried at once. */
void machine_trigger(struct machine *m, int64_t now_ms);
/* The target itself was heard of.  False: that changes nothing. */
bool machine_heard(struct machine *m, int target, int64_t now_ms);

#endif

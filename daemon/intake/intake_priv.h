/* Sessions and their transactions, for the files of this folder. */
#ifndef MX_INTAKE_INTAKE_PRIV_H
#define MX_INTAKE_INTAKE_PRIV_H

#include <sys/queue.h>

#include "common/base/arena.h"
#include "common/mail/header.h"
#include "common/net/conn.h"
#include "common/net/listen.h"
#include "common/smtp/content.h"
#include "common/smtp/command.h"
#include "daemon/intake/intake.h"
#include "daemon/intake/line.h"
#include "daemon/intake/replies.h"
#include "daemon/policy/shares.h"
#include "daemon/relay/relay.h"

/*
 * Where a session stands.  The arrows without a word are commands.
 *
 *   PROXY ──▶ TLS (implicit) ──▶ HELLO ──EHLO──▶ READY ──MAIL──▶ MAIL
 *                                  ▲               │ ▲             │ RCPT
 *                                 TLS ◀──STARTTLS──┘ │             ▼
 *                                       250 ┌────────┴─┐    ┌──── RCPT
 *                                           │  COMMIT ◀─ DATA ◀─┤ DATA
 *                                           │    ▲              │ BDAT
 *                                           │    └─LAST─ CHUNK ◀┘
 *                                           │            │   ▲
 *                                           │            ▼   │ BDAT
 *                                           └─ RSET ──── BDAT
 *
 * CHUNK also swallows the octets of a BDAT that was out of place; what is said
 * then stands in session.chunk_reply.
 *
 * ASK may lie on every way from HELLO to COMMIT, and before HELLO: ask.c.  What
 * is relayed waits for the primary in CARRY, behind the ASK of RCPT, and in
 * HAND_OVER, in front of COMMIT or in its place: carry.c.
 */
enum phase {
	PH_PROXY,  /* waiting for the PROXY header */
	PH_TLS,	   /* the handshake is under way */
	PH_HELLO,  /* greeted, nothing said yet */
	PH_READY,  /* no transaction */
	PH_MAIL,   /* a sender, no recipient yet */
	PH_RCPT,   /* at least one recipient */
	PH_BDAT,   /* between two chunks */
	PH_CHUNK,  /* in a chunk */
	PH_DATA,   /* in the content after DATA */
	PH_ASK,	   /* the gate has yet to answer */
	PH_CARRY,  /* the primary has yet to answer RCPT */
	PH_HAND_OVER, /* all content is here; the primary decides */
	PH_COMMIT, /* the same; the disk decides */
	PH_COUNT,
};

/* Bits for the command table. */
enum {
	AT_HELLO = 1 << PH_HELLO,
	AT_READY = 1 << PH_READY,
	AT_MAIL = 1 << PH_MAIL,
	AT_RCPT = 1 << PH_RCPT,
	AT_BDAT = 1 << PH_BDAT,
	AT_SENDER = AT_MAIL | AT_RCPT,
	AT_GREETED = AT_READY | AT_SENDER | AT_BDAT,
	AT_ANY = AT_HELLO | AT_GREETED,
};

/* What a step leaves to the driver, the only one who frees a session. */
enum step {
	STEP_ON,   /* more may be done with the input at hand */
	STEP_WAIT, /* an event goes on */
	STEP_END,  /* send what was said and close */
};

/* Where a recipient is, or will be. */
enum way { WAY_SPOOL, WAY_RELAY };

/* One transaction, in an arena of its own: from MAIL to RSET or 250. */
struct mail {
	struct arena arena;	 /* holds this struct, too */
	struct session *session; /* NULL: it left during the commit */
	struct config *config;	 /* a reference: one transaction, one policy */
	int64_t began_ms;	 /* monotonic */
	uint64_t sid;
	uint64_t size; /* announced; 0: not */

	struct envelope env; /* spans point into the arena */
	struct spool_rcpt *rcpts;
	enum way *ways; /* of each of them */
	uint32_t count, cap;
	uint32_t kept; /* so many of them go through the spool */
	uint32_t *slots;    /* hash table of 2 * cap: number + 1 */
	struct span *domains; /* of the recipients, each once */
	unsigned domain_count;
	bool is_over_limit; /* said 452 4.5.3 already */
	struct holding holding; /* its part of what all clients share */

	struct relay *relay; /* NULL: none of it is carried */
	bool is_full;	     /* the client waits for the primary */
	bool has_field;	     /* the primary has our Received field */
	/* Why it cannot be kept, if the primary does not take it: SAY_NONE,
	 * it can. */
	enum reply_id unkept;
	struct relay_said *said; /* while the spool takes the others */
	uint64_t id; /* in our Received field */

	const struct store *store; /* the intake's */
	struct spool_draft *draft; /* content comes and no fault yet */
	enum reply_id fault;	   /* what the content will be answered with */
	struct verdict *verdict;   /* with SAY_VERDICT: the words */
	struct smtp_decoder decoder;
	struct mail_scan scan;
	uint64_t bytes; /* content so far, our own field not counted */
	bool begins_blank; /* the content does: it has no header */
	struct spool_waiter waiter;
};

/* A question to the gate, and what it is about: see ask.c. */
struct asked {
	struct gate_question question;
	struct session *session;
	enum phase phase; /* to go on in */
	bool is_held;  /* somebody waits with it */
	bool is_alone; /* the primary cannot be asked: as in an outage */
	struct smtp_rcpt rcpt;
	struct gate_rcpt to;
	struct span arg; /* of MAIL */
	/* The command: the spans above borrow from it. */
	char line[LINE_MAX_BYTES];
};

struct session {
	uint32_t magic;
	enum phase phase : 8;
	enum reply_id
		chunk_reply : 8; /* SAY_NONE: the chunk is part of a mail */
	bool is_entered : 1;	 /* policy counts it */
	bool is_implicit : 1;	 /* TLS before the greeting */
	bool is_esmtp : 1;	 /* said EHLO, not HELO */
	bool is_skipping : 1;	 /* see line_cut */
	bool is_paused : 1;	 /* the socket is not read, by us */
	bool is_eof : 1;	 /* the client has closed its side */
	bool is_last : 1;	 /* the chunk said LAST */
	/* MAIL or a chunk was refused; what goes with it may be on the way */
	bool is_failed : 1;
	bool is_driven : 1; /* session_drive is on the stack */
	bool is_queued : 1; /* waits for another turn: see session_drive */
	bool is_greedy : 1; /* its last turn ended before it was done */
	uint16_t errors;    /* since the last message */
	uint32_t pardoned;  /* commands behind the refused MAIL */
	uint16_t chatter;   /* commands since then that lead to none */
	uint32_t refused;   /* recipients since then, in all transactions */
	uint16_t offered;   /* SMTP_EXT_ bits for MAIL and RCPT */

	struct intake *in;
	struct conn *conn;
	struct mail *mail; /* NULL: no transaction */
	struct asked *asked; /* in PH_ASK; else NULL */
	char *helo;	   /* NUL-terminated; NULL: not said */
	const char *stage; /* the command in hand, for the log */
	uint64_t sid;
	struct net_addr client; /* who PROXY says it is, or the peer */
	struct gate_visit visit;
	TAILQ_ENTRY(session) link;
	TAILQ_ENTRY(session) turn; /* while is_queued */

	uint64_t chunk_left;  /* octets of the chunk still to come */
	int64_t paced_ms;     /* monotonic: since when the floor is counted */
	uint64_t paced_bytes; /* what came since then */
	uint64_t accepted;    /* messages, for the log */
	int64_t active_ms;    /* monotonic: when its deadline began: bytes that
			       * are no command yet are nothing */
};

TAILQ_HEAD(session_list, session); /* who came first stands first */
TAILQ_HEAD(session_turns, session);
LIST_HEAD(listening_list, listening);

/* EHLO answers are made once per configuration. */
enum { HELLO_TLS = 1, HELLO_REQUIRETLS = 2, HELLO_VARIANTS = 4 };

struct intake {
	struct ev_loop *loop;
	const struct store *store;
	struct spool *spool;
	struct policy *policy;
	const struct relay_door *door;
	struct traces *traces; /* may be NULL */
	struct config *config;
	struct intake_hooks hooks;
	struct session_list sessions;
	struct session_turns turns; /* who had its share and has more to do */
	ev_timer turn;
	size_t session_count;
	size_t most_sessions;
	struct listening_list listening;
	uint64_t next_sid;
	bool is_stopping;
	struct buf hello[HELLO_VARIANTS], helo, greeting;
	/* The loop is one thread: these are whoever's turn it is. */
	struct buf scratch;
	struct buf place; /* "domains:12", for the log */
	struct asked *asked; /* NULL: who had it keeps it */
};

/* ---- session.c: phases and turns ---- */

/* Something has happened: do what can be done in one turn, or wait for one.
 * Frees the session when that ends it. */
void session_drive(struct session *s);
/* Something that it waited for, other than its client, has come. */
void session_go_on(struct session *s);
/* As session_go_on, with what the answer to its question led to; but the next
 * command is run in a turn of its own: an answer may come from anywhere. */
void session_answered(struct session *s, enum step step);
/* Stop reading until session_go_on. */
void session_pause(struct session *s);
/* How much is read at once: content comes in large pieces, commands do not. */
void session_set_reading(struct session *s);

/* Those that wait for a turn get it. */
void session_turns_init(struct intake *in);
void session_turns_fini(struct intake *in);

/* The deadline of the phase begins anew. */
void session_arm(struct session *s);
/* Its name, for the log. */
const char *session_phase(const struct session *s);
/* It speaks SMTP, and it is the client's turn to say something. */
bool session_awaits_client(const struct session *s);
/* As long as the content that has come may take at the slowest. */
int64_t session_floor_ms(const struct session *s);
/* It waits for us, and not for its client. */
bool session_is_in_our_hands(const struct session *s);

/* ---- session_life.c: beginning and end ---- */

/* Begin to serve fd (owned); unless is_proxy, policy has let peer in.
 * is_early: it spoke before the greeting and is sent away. */
void session_new(struct intake *in, int fd, const struct net_addr *peer,
		 bool is_proxy, bool is_implicit, bool is_early);
/* The connection comes from a proxy: on whose behalf? */
enum step step_proxy(struct session *s);
/* The greeting, or none. */
enum step session_judged(struct session *s, struct asked *a,
			 const struct verdict *v);

/* The daemon stops: a session that is in no transaction, or waits for the gate,
 * is told at once, others at their next command. */
void session_stop(struct session *s);
/* Whatever it is doing. */
void session_kill(struct session *s);
/* Close behind what was said; why is for the log.  Both free the session; the
 * second says a last word first. */
void session_end(struct session *s, const char *why);
void session_send_away(struct session *s, enum reply_id id, const char *why);

/* ---- session_crowd.c ---- */

/* Send one away that does nothing, else one of a client that has many.  False:
 * none was found among those looked at. */
bool session_make_room(struct intake *in);

static inline bool session_input_pending(struct session *s)
{
	return conn_input(s->conn).n > 0;
}

/* A transaction goes by the configuration it began with. */
static inline const struct config *session_config(const struct session *s)
{
	return s->mail != NULL ? s->mail->config : s->in->config;
}

/* ---- say.c: replies ---- */

/* Say it; a refusal is logged (line may be empty), and counted when the
 * client is at fault.  STEP_ON, or STEP_END when that was one too many. */
enum step session_say(struct session *s, enum reply_id id);
enum step session_refuse(struct session *s, enum reply_id id, struct span line);
/* The same of a recipient; and without a line in the log. */
enum step session_refuse_path(struct session *s, enum reply_id id,
			      struct span path);
enum step session_refuse_again(struct session *s, enum reply_id id);
/* Words of a yes; nothing is refused. */
void session_say_words(struct session *s, const struct verdict *v);
/* A verdict in its own words.  Code 421 ends the session. */
enum step session_refuse_client(struct session *s, const struct verdict *v);
enum step session_refuse_rcpt(struct session *s, const struct verdict *v,
			      struct span path);
enum step session_refuse_mail(struct session *s, const struct verdict *v,
			      struct span line);
/* Say it as the last words. */
enum step session_bye(struct session *s, enum reply_id id);

/* The client's address, in the scratch buffer. */
struct span session_client(struct session *s);

/* What is said when the spool did not take it. */
enum reply_id storage_reply(enum mx_err err);

/* ---- ask.c: the gate ---- */

/* What a question is about goes here before session_ask, and the spans in it
 * must live as long: those of the command do.  Valid until the next return to
 * the loop. */
struct asked *asked_ready(struct intake *in);
void asked_free(struct asked **a);

/* May it come in?  Goes on with *_judged, now or later, and then the phase is
 * the same as now. */
enum step session_ask(struct session *s, enum gate_moment moment);
/* Keep what it was about beyond the return to the loop, in s->asked; and let go
 * of it, unless it was kept again meanwhile. */
void session_hold(struct session *s, struct asked *a);
void session_release(struct session *s, struct asked *a);
/* The same once more, of the recipient in it. */
enum step session_ask_again(struct session *s, struct asked *a);
/* In PH_ASK: there is input already.  STEP_WAIT, unless that decides. */
enum step session_spoke(struct session *s);
/* It no longer wants to know. */
void session_unask(struct session *s);

/* ---- command.c ---- */

/* Take one command line from the input, if there is one, and run it. */
enum step step_command(struct session *s);

/* ---- hello.c: EHLO, HELO, STARTTLS ---- */

void hello_prepare(struct intake *in);
void hello_fini(struct intake *in);
enum step run_ehlo(struct session *s, struct span arg);
enum step run_helo(struct session *s, struct span arg);
enum step run_starttls(struct session *s, struct span arg);
/* Knowledge of the client is void (RFC 3207 section 4.2). */
void hello_forget(struct session *s);

/* ---- etrn.c ---- */

enum step run_etrn(struct session *s, struct span arg);

/* ---- mail.c: the envelope ---- */

enum step run_mail(struct session *s, struct span arg);
enum step run_rcpt(struct session *s, struct span arg);
enum step mail_judged(struct session *s, struct asked *a,
		      const struct verdict *v);
enum step rcpt_judged(struct session *s, struct asked *a,
		      const struct verdict *v);
/* It goes through the spool; or the primary has taken it. */
enum step rcpt_keep(struct session *s, struct asked *a);
void rcpt_relayed(struct session *s, struct asked *a);
/* End the transaction, if there is one; phase READY if there was. */
void mail_drop(struct session *s);
void mail_free(struct mail **m);
/* Note for each domain what it may claim of a spool that is nearly full.  As
 * late as possible: at the commit. */
void mail_claim(struct intake *in, struct mail *m);

/* ---- data.c: the commands that bring content ---- */

enum step run_data(struct session *s, struct span arg);
enum step run_bdat(struct session *s, struct span arg);
enum step content_judged(struct session *s, struct asked *a,
			 const struct verdict *v);
enum step step_data(struct session *s);
enum step step_chunk(struct session *s);

/* ---- content.c: what becomes of it ---- */

/* There is a draft for it, or the primary takes it alone. */
enum mx_err content_begin(struct session *s);
/* Count the floor of the data deadline from here. */
void content_pace(struct session *s);
/* Where the next octets are decoded to; so many have been. */
char *content_buffer(struct mail *m, size_t *room);
void content_decoded(struct session *s, const char *at, size_t n);
/* The last ones, a few that the decoder kept back, or none. */
void content_rest(struct session *s, struct span octets);
/* The disk, or the primary, is slower than the client: the rest is left in the
 * kernel, and content goes on with session_go_on. */
bool content_must_wait(struct session *s);
/* So much of the input was content. */
void content_consumed(struct session *s, size_t n);

/* All of it is here: refused, or what does the gate say? */
enum step content_end(struct session *s);
enum step end_judged(struct session *s, struct asked *a,
		     const struct verdict *v);
/* The content was refused, in these words; was taken, and is answered so. */
enum step content_refused(struct session *s, const struct verdict *v);
enum step content_failed(struct session *s, enum reply_id id);
void content_taken(struct session *s, struct span reply);
/* Into the spool, for all recipients that are left. */
enum step content_commit(struct session *s);

/* ---- carry.c: what is relayed ---- */

/* As gate_question.carries. */
bool carry_is_due(struct gate_question *q);
/* The gate lets it pass: what does the primary say? */
enum step carry_rcpt(struct session *s, struct asked *a);
/* Content begins.  False: the spool does not take it (why), and it cannot go
 * without. */
bool carry_begin(struct session *s, enum reply_id why);
/* The spool takes no more of it.  False: it cannot go on without. */
bool carry_alone(struct mail *m, enum reply_id why);
/* Octets of it; no more for now. */
void carry_content(struct session *s, struct span octets);
bool carry_must_wait(struct session *s);
/* All of it is here, and nobody here objects. */
enum step carry_end(struct session *s);
/* What the spool was given beside the primary is durable, or not. */
void carry_committed(struct session *s, enum mx_err err);

/* ---- trace.c: what we say of a message ---- */

/* Fill in the envelope from the session. */
void trace_begin(struct session *s, struct mail *m, int64_t wall_ms);
/* Our Received field, in the scratch buffer. */
struct span trace_received(struct session *s, struct mail *m);
/* How long it will be, before the content begins, if this is its recipient. */
size_t trace_expected(struct session *s, struct mail *m, struct span path);
void trace_accepted(const struct mail *m, uint64_t id);
void trace_relayed(const struct mail *m, const struct relay_said *said);
/* The client is gone, and the primary has it all. */
void trace_unheard(const struct mail *m);
void trace_kept(const struct mail *m, const struct relay_said *said);

#endif

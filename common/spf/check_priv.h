/*
 * check_host() of RFC 7208 section 4, as a machine that never waits.  What its
 * states do is in check.c, what answers mean to them in check_answers.c.
 *
 *             record of the domain            each term in turn
 *   RECORD ───────────────────────▶ TERM ───────────────────────▶ END
 *     ▲                             │ ▲ ▲        matched; none left
 *     ├──── include: one frame ─────┤ │ │
 *     └──── redirect: this frame ───┘ │ └── HOST ◀── hosts of an MX
 *                                     ├──── ADDRESS, HOSTS
 *                                     └──── NAMES, NAME: of the client
 *
 *   END of a fail ──▶ EXPLAIN ──▶ over
 *
 * Each state but TERM and END has one question out; the answer is for it.  NAMES
 * (the client's own names, for ptr and %{p}) are asked for once, then the state
 * that wanted them begins again.
 */
#ifndef MX_SPF_CHECK_PRIV_H
#define MX_SPF_CHECK_PRIV_H

#include "common/spf/macro.h"
#include "common/spf/record.h"

enum {
	SPF_MAGIC = 0x05bf7208,
	/* Section 4.6.4 */
	TERMS_MOST = 10, /* that ask DNS */
	HOSTS_MOST = 10, /* of one MX set; names of a client */
};

enum state {
	AT_RECORD, AT_TERM, AT_ADDRESS, AT_HOSTS, AT_HOST, AT_NAMES, AT_NAME,
	AT_EXPLAIN, AT_EXPLAINED, AT_OVER
};

/* A domain whose record is being gone through. */
struct frame {
	struct span domain;
	struct spf_terms record;
	size_t at; /* the term */
};

struct spf {
	unsigned magic;
	struct arena arena; /* owns every span */
	struct spf_request request;
	struct spf_macros macros;
	struct frame frames[TERMS_MOST + 1];
	size_t depth; /* of frames; the last is gone through */
	enum state state;
	struct spf_lookup question;
	unsigned terms, voids; /* so far */

	struct span hosts[HOSTS_MOST]; /* of an MX set */
	size_t host_count, host;

	struct span names[HOSTS_MOST]; /* of the client; the first: valid */
	size_t name_count, valid_count, name;
	bool has_names;
	enum state after_names;

	struct span text; /* of the explanation, with its macros */
	struct spf_verdict verdict;
};

/* The domain that is gone through, and its term in question. */
static inline struct frame *spf_top(struct spf *s)
{
	return &s->frames[s->depth - 1];
}

static inline const struct spf_term *spf_term_now(struct spf *s)
{
	return &spf_top(s)->record.terms[spf_top(s)->at];
}

/* ---- check_names.c ---- */

/* Can it be asked for?  In so many labels at least. */
bool spf_is_name(struct span name, size_t least_labels);
/* Is name that domain, or below it? */
bool spf_is_within(struct span name, struct span domain);
/* With its macros replaced.  Empty: it is longer than anything that could be
 * asked or said. */
struct span spf_filled(struct spf *s, struct span text);
/* The domain a term is about.  Section 7.3: too long, it loses labels on its
 * left. */
struct span spf_target(struct spf *s, struct span spec);

/* ---- check.c ---- */

/* It is over, but for an explanation; of an error, why and about what. */
void spf_end(struct spf *s, enum spf_result r);
void spf_error(struct spf *s, enum spf_result r, const char *what,
	       struct span about);
/* The term in question does match; does not. */
void spf_match(struct spf *s);
void spf_next_term(struct spf *s);
/* Until there is a question, or it is over. */
void spf_run(struct spf *s);

#endif

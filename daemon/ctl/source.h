/*
 * Where it is looked up what waits: in the daemon, page by page, or in the
 * spool itself, which also works while there is none.  Either gives the same
 * values (common/status), so that what is printed is written once.
 */
#ifndef MX_CTL_SOURCE_H
#define MX_CTL_SOURCE_H

#include "common/status/memory.h"
#include "daemon/ctl/link.h"

struct source;

/* One way to look; as the functions below. */
struct source_ops {
	enum mx_err (*overview)(struct source *s, json_t **out);
	enum mx_err (*domains)(struct source *s, struct status_page *p);
	enum mx_err (*domain)(struct source *s, struct span name, json_t **out);
	enum mx_err (*messages)(struct source *s, struct span domain,
				struct status_page *p);
	enum mx_err (*search)(struct source *s, struct span domain,
			      struct status_page *p);
	enum mx_err (*message)(struct source *s, struct span id, json_t **out);
	enum mx_err (*outages)(struct source *s, struct span domain,
			       struct status_page *p);
	enum mx_err (*find)(struct source *s, struct span word,
			    struct status_page *p);
	enum mx_err (*tally)(struct source *s, int64_t since_ms,
			     struct status_page *p);
	enum mx_err (*content)(struct source *s, struct span id,
			       uint64_t offset, struct buf *out);
};
extern const struct source_ops source_link_ops, source_spool_ops;

struct source {
	const struct ctl *ctl;
	const struct source_ops *ops;
	struct link link;	     /* fd -1: there is none */
	struct spool *spool;	     /* NULL: not opened */
	struct status_memory memory; /* of the spool's targets */
	struct buf error;	     /* the daemon's words; empty: none */
	json_t *wanted;	     /* borrowed: a filter (common/status); NULL: all */
};

/* The daemon knows more; the spool costs it nothing. */
enum source_wish { SOURCE_DAEMON, SOURCE_SPOOL };

/*
 * Open what is wished, else the other.  CTL_UNREACHABLE: there is no daemon,
 * and only that would help us; CTL_FAILED otherwise.  It has been said why.
 */
enum ctl_exit source_open(struct source *s, const struct ctl *ctl,
			  enum source_wish wish);
/* Ask the daemon or nobody, and say nothing: why gets a sentence, as by
 * link_open.  To be closed in either case. */
enum ctl_exit source_open_live(struct source *s, const struct ctl *ctl,
			       struct buf *why);
void source_close(struct source *s);

/* Is it the daemon that is asked? */
bool source_is_live(const struct source *s);

/*
 * Each is a look of its own.  When the daemon stops answering, or is of a
 * version that cannot, the spool is looked at from there on, if we may.
 * On an error *out is NULL; say it with source_end.
 */
/* {"hostname","version","running","spool"}, from the daemon also
 * "certificate_end". */
enum mx_err source_overview(struct source *s, json_t **out);
/* The page behind this one; all zero is the place before the first.  What is
 * in it is released. */
enum mx_err source_domains(struct source *s, struct status_page *p);
/* Those that s->wanted is about. */
enum mx_err source_messages(struct source *s, struct span domain,
			    struct status_page *p);
enum mx_err source_outages(struct source *s, struct span domain,
			   struct status_page *p);
/* Of what has left (common/status/trace.h). */
enum mx_err source_find(struct source *s, struct span word,
			struct status_page *p);
/* What was counted since then (common/status/tally.h). */
enum mx_err source_tally(struct source *s, int64_t since_ms,
			 struct status_page *p);
enum mx_err source_domain(struct source *s, struct span name, json_t **out);
/* MX_ENOENT: no such message. */
enum mx_err source_message(struct source *s, struct span id, json_t **out);
/* Append what follows offset; nothing: that was the end. */
enum mx_err source_content(struct source *s, struct span id, uint64_t offset,
			   struct buf *out);

/* Say what went wrong, if anything: how the command ends. */
enum ctl_exit source_end(const struct source *s, enum mx_err err);

#endif

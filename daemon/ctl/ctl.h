/* mx20ctl: what its verbs share. */
#ifndef MX_CTL_CTL_H
#define MX_CTL_CTL_H

#include <jansson.h>
#include <stdio.h>

#include "config/config.h"
#include "common/spool/spool.h"

/* How the command ends; scripts depend on the numbers. */
enum ctl_exit {
	CTL_DONE = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3, /* the daemon is needed and does not answer */
};

/* Rows on a terminal: more has scrolled away before it is read. */
enum { CTL_SCREEN_ROWS = 1000 };

/* One run of the program. */
struct ctl {
	struct config *config; /* settings only */
	const char *verb;
	const char *argument; /* the first ID or DOMAIN; NULL: none */
	char **arguments;     /* all of them */
	size_t argument_count;
	const char *domain;	 /* --domain */
	const char *destination; /* --destination */
	const char *reason;	 /* --reason */
	const char *client, *helo; /* explain */
	const char *from, *to;	   /* explain, queue */
	const char *size;	   /* explain */
	const char *older, *state, *sort, *limit; /* queue */
	const char *since, *until; /* summary */
	bool json, yes, raw, all;
	bool alarm; /* status */
	bool force, dry_run; /* reload */
	bool forget, recheck; /* recipient */
	int64_t now_ms; /* wall */
	size_t width;	/* of the terminal; 0: unlimited */
};

/* The verbs.  Each says on stderr why it failed. */
enum ctl_exit ctl_status(struct ctl *ctl);
enum ctl_exit ctl_queue(struct ctl *ctl);
enum ctl_exit ctl_find(struct ctl *ctl);
enum ctl_exit ctl_refused(struct ctl *ctl);
enum ctl_exit ctl_outages(struct ctl *ctl);
enum ctl_exit ctl_summary(struct ctl *ctl);
enum ctl_exit ctl_top(struct ctl *ctl);
enum ctl_exit ctl_show(struct ctl *ctl);
enum ctl_exit ctl_flush(struct ctl *ctl);
enum ctl_exit ctl_surgery(struct ctl *ctl);
enum ctl_exit ctl_reload(struct ctl *ctl);
enum ctl_exit ctl_explain(struct ctl *ctl);
enum ctl_exit ctl_route(struct ctl *ctl);
enum ctl_exit ctl_check(struct ctl *ctl);
enum ctl_exit ctl_recipient(struct ctl *ctl);
enum ctl_exit ctl_mirror(struct ctl *ctl);

/* Is a person there who can be asked, and was not told --yes? */
bool ctl_asks(const struct ctl *ctl);
/* Ask him, "question [yes/no]"; true also when there is nobody to ask. */
bool ctl_agrees(const struct ctl *ctl, const char *question);

/* "mx20ctl: ..." on stderr. */
void ctl_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A domain may be written as the filters and `find` have it, "@example.org":
 * without that. */
struct span ctl_domain_text(const char *text);
/* The domain as the spool knows it; false when it is none, after saying so.
 * Append a NUL-terminated name to out. */
bool ctl_domain(const char *text, struct buf *out);

/*
 * From here on a damaged spool is read: what the check does not see may make
 * LMDB read outside of it.  The operator gets a sentence, not a core.
 */
void ctl_expect_crash(void);

/* Columns of a terminal, or 0: whole lines go to files and pipes. */
size_t ctl_width(FILE *to);

/* To be called before anything is written: in which form, and how wide. */
void ctl_output(struct ctl *ctl);

/*
 * Write lines to stdout.  False: nobody reads it any more, or the disk is full.
 * Text for people has nothing that a terminal would act on, and is wrapped to
 * its width; on a terminal that is so of what --raw shows, too, and JSON has
 * escapes there.
 */
bool ctl_write(struct span s);
/* The same, but lines stay whole: they are to be pasted somewhere. */
bool ctl_write_whole(struct span s);

/* Everything written so far goes out.  The errno of the first write that
 * failed, or 0. */
int ctl_flush_output(void);

/* Print one JSON object as a line and release it; as ctl_write. */
bool ctl_print_json(json_t *object);

#endif

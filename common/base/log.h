/*
 * One line per fact, logfmt, on stderr: the event's name, then key=value.
 * Other levels than info are said behind the name, and under systemd (where
 * JOURNAL_STREAM is set) a priority prefix stands before it.
 *
 *   accepted sid=5f0c mid=1JD8X4Z7QG000 from=<a@x.example> size=10432
 *   spool level=error path=/var/spool/mx20 error="input/output error"
 *
 * The caller never waits for stderr: lines go to a bounded queue that one
 * thread writes out.  When the queue is full lines are dropped and counted,
 * and the count is logged.
 */
#ifndef MX_BASE_LOG_H
#define MX_BASE_LOG_H

#include "common/base/buf.h"
#include "common/base/events.h"
#include "common/base/log_field.h"
#include "common/base/metrics_events.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
		 LOG_LEVEL_DEBUG };

/*
 * log_info(EV_ACCEPTED, LOG_ID("mid", id), LOG_PATH("from", from));
 *
 * Quoting is done here and nowhere else.  A line counts (metrics_events.h) at
 * any level, also one that is not written.  Safe from any thread.
 */
#define log_at(level, event, ...) \
	log_fields((level), (event), (const struct log_field[]){ \
		__VA_ARGS__, { LOG_KIND_END, NULL, { NULL, 0 }, 0 } })
#define log_error(event, ...) log_at(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_at(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_at(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* It happened, and is not said: the client has had its share of lines. */
#define log_unsaid(event, ...) \
	metrics_event((event), (const struct log_field[]){ \
		__VA_ARGS__, { LOG_KIND_END, NULL, { NULL, 0 }, 0 } })

void log_fields(enum log_level level, enum log_event event,
		const struct log_field *fields);

/* Is this level written at all?  For fields that cost something to make. */
bool log_enabled(enum log_level level);

/*
 * Append the path number i of a list of them, for a field of kind LOG_SPAN:
 * "<a@x.example>,<b@x.example>".  The first LOG_PATHS_MAX are shown; the
 * number of all stands in a field of its own.
 */
enum { LOG_PATHS_MAX = 10 };
void log_list_path(struct buf *list, size_t i, struct span path);

/* Do many lines wait to be written?  Who has a great many more waits. */
bool log_is_congested(void);

void log_set_level(enum log_level level);

/* "error" "warn" "info" "debug"; false leaves *out alone. */
bool log_level_parse(struct span name, enum log_level *out);

/*
 * Start the writing thread; before it, lines are written at once by the
 * caller.  log_stop writes out what waits and returns to that mode, unless
 * nobody reads: then it gives up after some seconds, and the process can only
 * end.  Not to be called before a fork that continues.
 */
void log_start(void);
void log_stop(void);

#endif

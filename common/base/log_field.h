/* What a line of the log is made of. */
#ifndef MX_BASE_LOG_FIELD_H
#define MX_BASE_LOG_FIELD_H

#include "common/base/span.h"

enum log_kind { LOG_KIND_END, LOG_KIND_SPAN, LOG_KIND_INT, LOG_KIND_PATH,
		LOG_KIND_HEX, LOG_KIND_ID };

struct log_field {
	enum log_kind kind;
	const char *key;
	struct span text;
	int64_t number;
};

/* Values.  A path is written as <...>; hex is for sid, id for mid. */
#define LOG_SPAN(k, s) ((struct log_field){ LOG_KIND_SPAN, (k), (s), 0 })
#define LOG_STR(k, s) LOG_SPAN(k, span_str(s))
#define LOG_PATH(k, s) ((struct log_field){ LOG_KIND_PATH, (k), (s), 0 })
#define LOG_INT(k, n) \
	((struct log_field){ LOG_KIND_INT, (k), { NULL, 0 }, (int64_t)(n) })
#define LOG_HEX(k, n) \
	((struct log_field){ LOG_KIND_HEX, (k), { NULL, 0 }, (int64_t)(n) })
#define LOG_ID(k, n) \
	((struct log_field){ LOG_KIND_ID, (k), { NULL, 0 }, (int64_t)(n) })

/* An empty LOG_SPAN and a LOG_ID of 0 are left out of the line. */
static inline bool log_field_is_said(const struct log_field *f)
{
	return !(f->kind == LOG_KIND_SPAN && f->text.n == 0) &&
	       !(f->kind == LOG_KIND_ID && f->number == 0);
}

#endif

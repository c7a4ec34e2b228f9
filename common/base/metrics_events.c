#include "common/base/metrics_events.h"

#include "common/base/assert.h"
#include "common/base/log_field.h"
#include "common/base/metrics.h"

/*
 * Which lines count for what: those of the event with this value of a field
 * (NULL: any, but not none), and without another field.
 */
/* clang-format off */
static const struct feed {
	enum log_event event;
	enum metric_id metric;
	const char *by;            /* the field that is the label, or the value */
	const char *where, *value;
	const char *unless;
} feeds[] = {
	{ EV_ACCEPTED,  METRIC_ACCEPTED,            NULL,     NULL,    NULL,   NULL },
	{ EV_REJECTED,  METRIC_RECIPIENTS_REJECTED, "reason", "stage", "rcpt", NULL },
	{ EV_REJECTED,  METRIC_MESSAGES_REJECTED,   "reason", "stage", "mail", NULL },
	{ EV_REJECTED,  METRIC_MESSAGES_REJECTED,   "reason", "stage", "data", NULL },
	{ EV_REJECTED,  METRIC_MESSAGES_REJECTED,   "reason", "stage", "bdat", NULL },
	{ EV_DELIVERED, METRIC_DELIVERED,           NULL,     NULL,    NULL,   NULL },
	{ EV_DELIVERED, METRIC_WAIT,                "wait_s", NULL,    NULL,   NULL },
	/* not the one that comes before it: a reply is in doubt */
	{ EV_DEFERRED,  METRIC_DEFERRED,            NULL,     "attempts", NULL, NULL },
	/* reason: a lifetime is over; no host: the operator's, or no way there */
	{ EV_BOUNCED,   METRIC_REFUSED,             NULL,     "host",  NULL,   "reason" },
	{ EV_HELD,      METRIC_REFUSED,             NULL,     "host",  NULL,   "reason" },
	{ EV_SHELVED,   METRIC_REFUSED,             NULL,     "host",  NULL,   "reason" },
};
/* clang-format on */

static const struct log_field *find(const struct log_field *fields,
				    const char *key)
{
	for (; fields->kind != LOG_KIND_END; fields++)
		if (strcmp(fields->key, key) == 0 && log_field_is_said(fields))
			return fields;
	return NULL;
}

static bool counts(const struct feed *f, const struct log_field *fields)
{
	const struct log_field *where;

	if (f->unless != NULL && find(fields, f->unless) != NULL)
		return false;
	if (f->where == NULL)
		return true;
	where = find(fields, f->where);
	return where != NULL &&
	       (f->value == NULL || span_eq(where->text, span_str(f->value)));
}

static void feed(const struct feed *f, const struct log_field *fields)
{
	const struct log_field *by = f->by != NULL ? find(fields, f->by) : NULL;
	size_t label;

	if (f->by == NULL)
		metrics_count(f->metric);
	else if (by == NULL)
		return;
	else if (metric_get(f->metric)->kind == METRIC_HISTOGRAM)
		metrics_observe(f->metric, by->number);
	else if (metric_label(f->metric, f->by, by->text, &label))
		metrics_add(f->metric, label, 1);
}

void metrics_event(enum log_event event, const struct log_field *fields)
{
	for (size_t i = 0; i < COUNT(feeds); i++)
		if (feeds[i].event == event && counts(&feeds[i], fields))
			feed(&feeds[i], fields);
}

/* How many recipients were refused since the start: by line of the allowlist,
 * and by reason. */
#ifndef MX_POLICY_REJECTIONS_H
#define MX_POLICY_REJECTIONS_H

#include "common/base/span.h"

struct rejections;

struct rejections *rejections_new(void);
void rejections_free(struct rejections **r);

/* name is that of a line, so that nobody chooses how many there are; reason is
 * static.  Beyond REJECTIONS_LINES lines nothing new is counted. */
enum { REJECTIONS_LINES = 50000, REJECTIONS_REASONS = 24 };
void rejections_add(struct rejections *r, struct span name, const char *reason);

/* Each of that line, the most frequent first. */
typedef void rejections_cb(const char *reason, uint64_t count, void *arg);
void rejections_each(const struct rejections *r, struct span name,
		     rejections_cb *cb, void *arg);

#endif

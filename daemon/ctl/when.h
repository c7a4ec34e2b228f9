/* Times as operators write them; pure but for the time zone. */
#ifndef MX_CTL_WHEN_H
#define MX_CTL_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * "today" and "yesterday" (when they began here), "24h" and "7d" (so long ago),
 * "2026-11-27" and "2026-11-27 10:00" (here), "2026-11-27T10:00:00Z".
 */
bool when_parse(const char *text, int64_t now_ms, int64_t *wall_ms);

#endif

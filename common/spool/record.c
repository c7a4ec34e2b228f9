#include "common/spool/record.h"

#include "common/base/log.h"

bool recipient_is_parked(const struct recipient *r)
{
	return r->state > RECIPIENT_HELD;
}

void unit_list_rcpts(const struct unit *u, struct buf *out)
{
	for (size_t i = 0; i < u->rcpt_count && i < LOG_PATHS_MAX; i++)
		log_list_path(out, i, u->rcpts[i].path);
}

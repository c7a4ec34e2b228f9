#include "daemon/intake/store.h"

const struct store store_spool = {
	.room = spool_room,
	.left = spool_left,
	.is_tight = spool_is_tight,
	.domain_room = spool_domain_room,
	.is_busy = spool_is_busy,
	.wait = spool_wait,
	.wait_cancel = spool_wait_cancel,
	.draft_new = spool_draft_new,
	.draft_id = spool_draft_id,
	.draft_buffer = spool_draft_buffer,
	.draft_used = spool_draft_used,
	.draft_write = spool_draft_write,
	.draft_prefix = spool_draft_prefix,
	.draft_error = spool_draft_error,
	.draft_discard = spool_draft_discard,
	.commit = spool_commit,
};

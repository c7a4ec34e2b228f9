#include "daemon/intake/replies.h"

#define REPLY_ROW(id, why, setting, text)                                      \
	[SAY_##id] = { { text "\r\n", sizeof(text "\r\n") - 1 },              \
		       why,                                                    \
		       setting },
static const struct reply replies[] = { INTAKE_REPLIES(REPLY_ROW) };
#undef REPLY_ROW

const struct reply *reply_get(enum reply_id id)
{
	return &replies[id];
}

struct span reply_text(enum reply_id id)
{
	return span_of(replies[id].line.p, replies[id].line.n - 2);
}

bool reply_is_error(enum reply_id id)
{
	return replies[id].line.p[0] == '5';
}

/* How a connection comes to its end: decided here, done by drive.c. */
#include "daemon/delivery/delivery_priv.h"

enum step end_with(struct delivery *d, int why, enum stage at,
		   const struct smtp_reply *reply)
{
	d->life = LIFE_OVER;
	d->end.why = why;
	d->end.stage = stage_name(at);
	smtp_reply_copy(&d->end.reply, reply);
	return STEP_END;
}

enum step end_made(struct delivery *d, int why, enum stage at, int code,
		   const char *enhanced, struct span text)
{
	d->life = LIFE_OVER;
	d->end.why = why;
	d->end.stage = stage_name(at);
	smtp_reply_set(&d->end.reply, code, enhanced, text);
	d->end.reply.made = d->end.stage;
	return STEP_END;
}

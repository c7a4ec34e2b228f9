/* What is known, from start to stop. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "daemon/known/known_priv.h"
#include "daemon/known/recent.h"

struct known *known_new(struct ev_loop *loop, struct spool *sp,
			struct config *c)
{
	struct known *k = mx_alloc(sizeof(*k));

	k->loop = loop;
	k->spool = sp;
	k->config = config_ref(c);
	k->downtime = downtime_new(sp);
	key_read_secret(k);
	return k;
}

void known_connect(struct known *k, const struct known_hooks *hooks)
{
	k->hooks = *hooks;
}

void known_reload(struct known *k, struct config *c)
{
	struct config *old = k->config;

	k->config = config_ref(c);
	config_unref(&old);
}

void known_stop(struct known *k)
{
	k->is_stopped = true;
	verify_stop_all(k);
	trial_stop_all(k);
	k->hooks = (struct known_hooks){ 0 };
}

void known_free(struct known **kp)
{
	struct known *k = *kp;

	if (k == NULL)
		return;
	*kp = NULL;
	known_stop(k);
	row_free_all(k);
	recent_free(&k->recent);
	downtime_free(&k->downtime);
	config_unref(&k->config);
	buf_fini(&k->text);
	free(k);
}

uint64_t known_count(struct known *k)
{
	uint64_t rows = 0;

	(void)spool_known_count(k->spool, &rows);
	return rows;
}

#include "daemon/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "config/error.h"
#include "daemon/guard.h"
#include "daemon/privileges.h"
#include "daemon/route/route.h"

bool load_check(struct ev_loop *loop, const struct config *c,
		struct config_errors *errors)
{
	struct buf why = { 0 };
	bool ok = router_check(loop, c, &why) == MX_OK;

	if (!ok)
		config_fail(errors, c->path, 0, "%.*s",
			    SPAN_ARG(buf_span(&why)));
	buf_fini(&why);
	return ok;
}

static void warn_of_user(const struct config *c, struct span text)
{
	log_warn(EV_CONFIG, LOG_STR("key", "user"), LOG_SPAN("user", c->user),
		 LOG_SPAN("warning", text));
}

/*
 * Root reads every file.  A reload happens as the user, and under systemd the
 * start, too: what is said then is said now.  There is no way back.
 */
static void check_as_user(const struct config *c)
{
	struct config_errors errors = { 0 };
	struct config *again = NULL;
	struct privileges p;
	struct buf why = { 0 };
	struct span rest;

	if (privileges_plan(&p, c, &why) != MX_OK ||
	    (p.drops && privileges_drop(&p, &why) != MX_OK))
		warn_of_user(c, buf_span(&why));
	else if (p.drops)
		again = config_load(c->path.p, &errors);
	config_unref(&again);
	rest = buf_span(&errors.text);
	while (rest.n > 0)
		warn_of_user(c, span_cut(&rest, '\n'));
	config_errors_fini(&errors);
	buf_fini(&why);
}

static void check(struct config *c)
{
	config_warn(c); /* what is legal, and still better known */
	guard_check(c);
	check_as_user(c);
	printf("%.*s: no errors, %zu domains, %zu recipients\n",
	       SPAN_ARG(c->path), c->domain_count, c->recipient_count);
	config_unref(&c);
	exit(EX_OK);
}

struct config *load_or_exit(const struct options *o, struct ev_loop *loop)
{
	struct config_errors errors = { 0 };
	struct config *c = config_load(o->config, &errors);

	if (c == NULL || !load_check(loop, c, &errors)) {
		fwrite(errors.text.p, 1, errors.text.n, stderr);
		config_errors_fini(&errors);
		config_unref(&c);
		exit(EX_CONFIG);
	}
	config_errors_fini(&errors);
	if (o->check)
		check(c);
	return c;
}

#include "daemon/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "config/value/error.h"
#include "daemon/check.h"
#include "daemon/mirror/mirror.h"
#include "daemon/route/route.h"

static bool check_mirror(const struct config *c, struct config_errors *errors)
{
	struct buf why = { 0 };
	bool is_wrong = mirror_is_wrong(c, &why);

	if (is_wrong)
		config_fail(errors, c->path, 0, "mirror.postgresql: %.*s",
			    SPAN_ARG(buf_span(&why)));
	buf_fini(&why);
	return !is_wrong;
}

bool load_check(struct ev_loop *loop, const struct config *c,
		struct config_errors *errors)
{
	struct buf why = { 0 };
	bool ok = router_check(loop, c, &why) == MX_OK;

	if (!ok)
		config_fail(errors, c->path, 0, "%.*s",
			    SPAN_ARG(buf_span(&why)));
	buf_fini(&why);
	return check_mirror(c, errors) && ok;
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
		check_and_exit(c);
	return c;
}

#include "daemon/policy/names.h"

#include <stdlib.h>

#include "common/base/alloc.h"

enum { FILES_S = 5 }; /* how often the system's name servers are looked at */

struct names {
	struct ev_loop *loop;
	struct resolver *resolver; /* NULL: not needed */
	ev_timer files;
};

static void on_files(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct names *n = w->data;

	(void)loop;
	(void)revents;
	if (n->resolver != NULL)
		resolver_refresh(n->resolver);
}

struct names *names_new(struct ev_loop *loop)
{
	struct names *n = mx_alloc(sizeof(*n));

	n->loop = loop;
	ev_timer_init(&n->files, on_files, FILES_S, FILES_S);
	n->files.data = n;
	return n;
}

void names_free(struct names **np)
{
	struct names *n = *np;

	*np = NULL;
	if (n == NULL)
		return;
	ev_timer_stop(n->loop, &n->files);
	resolver_free(&n->resolver);
	free(n);
}

static struct dns_query *ask(void *by, struct span name, enum dns_type type,
			     dns_cb *cb, void *arg)
{
	return resolver_ask(by, name, type, cb, arg);
}

/* The old one goes when nobody asks it any more; with it the old settings. */
void names_configure(struct names *n, struct dnsbl *d, const struct config *c)
{
	struct resolver *fresh = NULL;
	struct dnsbl_dns dns = { .cancel = resolver_cancel };
	struct buf why = { 0 };

	if (c->policy.dnsbl_count > 0 &&
	    resolver_new(&fresh, n->loop, c, RESOLVER_STRANGERS, &why) != MX_OK)
		log_error(EV_CONFIG, LOG_STR("key", "policy.dnsbl"),
			  LOG_SPAN("error", buf_span(&why)));
	buf_fini(&why);
	if (fresh != NULL) {
		dns.ask = ask;
		dns.by = fresh;
		ev_timer_again(n->loop, &n->files);
	} else {
		ev_timer_stop(n->loop, &n->files);
	}
	dnsbl_configure(d, c, &dns);
	if (n->resolver != NULL)
		resolver_retire(&n->resolver);
	n->resolver = fresh;
}

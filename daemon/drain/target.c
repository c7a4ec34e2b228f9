/* The addresses of a destination, and what is remembered of each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/smtp/alike.h"
#include "daemon/drain/drain_priv.h"

enum { TARGETS_MAX = 64, SAY_AGAIN_MS = 3600000 };

/* ---- By address, for those who connect to us ---- */

struct at_address *targets_at(struct drain *d, const struct net_addr *addr)
{
	struct net_addr key = *addr;
	struct at_address *p;

	key.port = 0;
	HASH_FIND(hh, d->by_address, &key, sizeof(key), p);
	return p;
}

/* Zeroed first: the key is compared byte by byte, padding included. */
static void enter_address(struct drain *d, struct target *t)
{
	struct at_address *p = targets_at(d, &t->addr);

	if (p == NULL) {
		p = mx_alloc(sizeof(*p));
		memcpy(&p->addr, &t->addr, sizeof(p->addr));
		p->addr.port = 0;
		LIST_INIT(&p->targets);
		HASH_ADD(hh, d->by_address, addr, sizeof(p->addr), p);
	}
	LIST_INSERT_HEAD(&p->targets, t, same);
}

static void leave_address(struct drain *d, struct target *t)
{
	struct at_address *p = targets_at(d, &t->addr);

	MX_ASSERT(p != NULL);
	LIST_REMOVE(t, same);
	if (LIST_EMPTY(&p->targets)) {
		HASH_DEL(d->by_address, p);
		free(p);
	}
}

/* ---- Failed probes in the log ---- */

bool target_is_news(struct target *t, const char *stage, const char *reply,
		    int64_t now_ms, unsigned *left_out)
{
	char said[sizeof(t->said)];

	snprintf(said, sizeof(said), "%s %s", stage, reply);
	*left_out = t->left_out;
	if (now_ms - t->said_ms < SAY_AGAIN_MS && smtp_alike(said, t->said)) {
		t->left_out++;
		return false;
	}
	memcpy(t->said, said, sizeof(t->said));
	t->said_ms = now_ms;
	t->left_out = 0;
	return true;
}

int64_t target_mismatch_ms(const struct target *t)
{
	bool is_so = (t->without & DELIVERY_TRUST) != 0 &&
		     clock_mono_ms() < t->without_until_ms;

	return is_so ? t->without_until_ms : 0;
}

void target_forget_failure(struct target *t)
{
	t->said[0] = '\0';
	t->left_out = 0;
}

/* ---- Building ---- */

void target_add_name(struct buf *out, struct span host,
		     const struct net_addr *addr)
{
	buf_add(out, host);
	buf_addc(out, '[');
	net_addr_add(out, addr);
	buf_addf(out, "]:%u", (unsigned)addr->port);
}

static void set_name(struct target *t)
{
	struct buf name = { 0 };

	target_add_name(&name, t->host->name, &t->addr);
	snprintf(t->name, sizeof(t->name), "%s", buf_cstr(&name));
	buf_fini(&name);
}

static int find(const struct target *ts, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(ts[i].name, name) == 0)
			return (int)i;
	return MACHINE_NONE;
}

static int64_t ms_since(int64_t wall_ms)
{
	int64_t ago = clock_wall_ms() - wall_ms;

	return ago > 0 ? ago : 0;
}

/* What an earlier run left in the spool.  A target that was down a while ago is
 * still tried at once, but its outage did not begin with our start. */
static void recall(struct drain *d, struct target *t, struct machine_target *mt)
{
	struct spool_target st;
	int64_t ago;

	if (spool_target_get(d->spool, span_str(t->name), &st) != MX_OK)
		return;
	snprintf(t->last_reply, sizeof(t->last_reply), "%s", st.last_reply);
	snprintf(t->ehlo, sizeof(t->ehlo), "%s", st.ehlo);
	t->ehlo_ms = st.ehlo_ms;
	mt->good_ms = st.latency_ms;
	if (st.checked_ms == 0)
		st.checked_ms = st.since_ms;
	ago = ms_since(st.checked_ms);
	mt->heard_ms = clock_mono_ms() - ago;
	if (st.is_up || ago > config_stale_ms(d->config))
		return;
	mt->is_down = true;
	mt->since_ms = clock_mono_ms() - ms_since(st.since_ms);
}

int targets_find(const struct dest *dst, const char *name)
{
	return find(dst->targets, dst->target_count, name);
}

static size_t count_addrs(const struct route *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->host_count; i++)
		n += r->hosts[i].addr_count;
	return n < TARGETS_MAX ? n : TARGETS_MAX;
}

static void fill(struct dest *dst, const struct route *r,
		 const struct target *old, const struct machine_target *mold,
		 size_t old_count)
{
	size_t n = 0;

	for (size_t h = 0; h < r->host_count; h++) {
		const struct route_host *host = &r->hosts[h];

		for (size_t a = 0; a < host->addr_count; a++) {
			struct target *t = &dst->targets[n];
			struct machine_target *mt = &dst->mtargets[n];
			int was;

			if (n == dst->target_count)
				return;
			t->host = host;
			memcpy(&t->addr, &host->addrs[a], sizeof(t->addr));
			set_name(t);
			was = find(old, old_count, t->name);
			if (was != MACHINE_NONE) {
				*t = old[was];
				t->host = host;
				*mt = mold[was];
			} else {
				recall(dst->drain, t, mt);
			}
			mt->rank = host->preference;
			mt->host = (unsigned)h;
			mt->family = t->addr.family;
			t->dest = dst;
			t->index = n++;
			enter_address(dst->drain, t);
		}
	}
}

static void leave_addresses(struct dest *dst)
{
	for (size_t i = 0; i < dst->target_count; i++)
		leave_address(dst->drain, &dst->targets[i]);
}

void targets_build(struct dest *dst, struct route *route)
{
	struct target *old = dst->targets;
	struct machine_target *mold = dst->mtargets;
	size_t old_count = dst->target_count;
	struct route *old_route = dst->route;

	leave_addresses(dst);
	dst->builds++;
	dst->route = route_ref(route);
	dst->target_count = count_addrs(route);
	dst->targets =
		mx_alloc_array(dst->target_count + 1, sizeof(*dst->targets));
	dst->mtargets =
		mx_alloc_array(dst->target_count + 1, sizeof(*dst->mtargets));
	fill(dst, route, old, mold, old_count);
	machine_set_targets(&dst->machine, dst->mtargets, dst->target_count);
	free(old);
	free(mold);
	route_unref(&old_route);
}

void targets_clear(struct dest *dst)
{
	leave_addresses(dst);
	free(dst->targets);
	free(dst->mtargets);
	dst->targets = NULL;
	dst->mtargets = NULL;
	dst->target_count = 0;
	route_unref(&dst->route);
}

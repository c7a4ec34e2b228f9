#include "config/reload.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/base/alloc.h"
#include "config/value/error.h"

/* How much later than the loop the loading thread gets a busy processor. */
enum { NICE = 10 };

/* Who asked for a load. */
struct wish {
	bool any, real, forced;
};

struct reload {
	struct ev_loop *loop;
	char *path;
	struct reload_hooks hooks;
	ev_async done;
	pthread_t thread;
	unsigned number; /* of the load under way, or the last one */
	bool running;	 /* from its start until its callback is over */
	bool in_done;	 /* in that callback */
	bool free_me;	 /* asked for in there */
	bool has_thread;
	struct wish wish, next; /* of this load; of the one that follows */
	struct config *before;	/* what it is compared with */
	/* the thread's until it has said done */
	struct config *config;
	struct config_errors errors;
	struct change change;
};

static void compare(struct reload *r)
{
	struct change *ch = &r->change;

	change_find(ch, r->before->domains, r->config->domains);
	if (ch->gone.count > 0 && r->hooks.mail != NULL)
		r->hooks.mail(ch, r->hooks.arg);
	change_end(ch);
}

static void *load(void *arg)
{
	struct reload *r = arg;

	/* On Linux this is the thread's own; without it, no harm. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	r->config = config_load(r->path, &r->errors);
	if (r->config != NULL)
		compare(r);
	ev_async_send(r->loop, &r->done);
	return NULL;
}

static void start(struct reload *r)
{
	int errnum;

	r->running = true;
	r->number++;
	r->wish = r->next;
	r->next = (struct wish){ 0 };
	r->before = config_ref(r->hooks.current(r->hooks.arg));
	errnum = pthread_create(&r->thread, NULL, load, r);
	r->has_thread = errnum == 0;
	if (r->has_thread)
		return;
	config_fail(&r->errors, span_str(r->path), 0,
		    "no thread to load it: %s", strerror(errnum));
	ev_async_send(r->loop, &r->done);
}

static void join(struct reload *r)
{
	if (r->has_thread)
		pthread_join(r->thread, NULL);
	r->has_thread = false;
	config_unref(&r->before);
}

static void forget(struct reload *r)
{
	r->config = NULL;
	change_fini(&r->change);
	config_errors_fini(&r->errors);
	r->change = (struct change){ 0 };
	r->errors = (struct config_errors){ 0 };
}

static void on_done(struct ev_loop *loop, ev_async *w, int revents)
{
	struct reload *r = w->data;

	(void)loop, (void)revents;
	join(r);
	r->in_done = true;
	r->hooks.done(
		&(struct reload_result){
			.number = r->number,
			.config = r->config,
			.errors = &r->errors,
			.change = &r->change,
			.is_real = r->wish.real,
			.is_forced = r->wish.forced,
			.is_last = !r->next.any,
		},
		r->hooks.arg);
	r->in_done = r->running = false;
	forget(r);
	if (r->free_me)
		reload_free(&r);
	else if (r->next.any) /* against what may have been taken just now */
		start(r);
}

struct reload *reload_new(struct ev_loop *loop, const char *path,
			  const struct reload_hooks *hooks)
{
	struct reload *r = mx_alloc(sizeof(*r));

	r->loop = loop;
	r->path = mx_strdup(path);
	r->hooks = *hooks;
	ev_async_init(&r->done, on_done);
	r->done.data = r;
	ev_async_start(loop, &r->done);
	return r;
}

unsigned reload_start(struct reload *r, unsigned flags)
{
	bool real = !(flags & RELOAD_DRY);

	r->next.any = true;
	r->next.real = r->next.real || real;
	r->next.forced = r->next.forced || (real && (flags & RELOAD_FORCED));
	if (r->running)
		return r->number + 1;
	start(r);
	return r->number;
}

void reload_free(struct reload **rp)
{
	struct reload *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	if (r->in_done) { /* on_done is not yet finished with it */
		r->free_me = true;
		return;
	}
	if (r->running) {
		join(r);
		config_unref(&r->config);
		forget(r);
	}
	ev_async_stop(r->loop, &r->done);
	free(r->path);
	free(r);
}

#include "config/reload.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/base/alloc.h"
#include "config/error.h"

/* How much later than the loop the loading thread gets a busy processor. */
enum { NICE = 10 };

struct reload {
	struct ev_loop *loop;
	char *path;
	reload_cb *cb;
	void *arg;
	ev_async done;
	pthread_t thread;
	bool running; /* from reload_start until its callback */
	bool has_thread;
	bool again; /* asked for while one was under way */
	/* the thread's until it has said done */
	struct config *config;
	struct config_errors errors;
};

static void *load(void *arg)
{
	struct reload *r = arg;

	/* On Linux this is the thread's own; without it, no harm. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	r->config = config_load(r->path, &r->errors);
	ev_async_send(r->loop, &r->done);
	return NULL;
}

static void start(struct reload *r)
{
	int errnum = pthread_create(&r->thread, NULL, load, r);

	r->running = true;
	r->has_thread = errnum == 0;
	if (r->has_thread)
		return;
	config_fail(&r->errors, span_str(r->path), 0,
		    "no thread to load it: %s", strerror(errnum));
	ev_async_send(r->loop, &r->done);
}

/* Take the result over from the thread. */
static struct config *join(struct reload *r, struct config_errors *errors)
{
	struct config *config;

	if (r->has_thread)
		pthread_join(r->thread, NULL);
	r->running = false;
	config = r->config;
	*errors = r->errors;
	r->config = NULL;
	r->errors = (struct config_errors){ 0 };
	return config;
}

static void on_done(struct ev_loop *loop, ev_async *w, int revents)
{
	struct reload *r = w->data;
	struct config_errors errors;
	struct config *config = join(r, &errors);
	bool again = r->again;

	(void)loop, (void)revents;
	r->again = false;
	if (again)
		start(r);
	r->cb(config, &errors, r->arg); /* may free r */
	config_errors_fini(&errors);
}

struct reload *reload_new(struct ev_loop *loop, const char *path, reload_cb *cb,
			  void *arg)
{
	struct reload *r = mx_alloc(sizeof(*r));

	r->loop = loop;
	r->path = mx_strdup(path);
	r->cb = cb;
	r->arg = arg;
	ev_async_init(&r->done, on_done);
	r->done.data = r;
	ev_async_start(loop, &r->done);
	return r;
}

void reload_start(struct reload *r)
{
	if (r->running)
		r->again = true;
	else
		start(r);
}

bool reload_is_running(const struct reload *r)
{
	return r->running;
}

void reload_free(struct reload **rp)
{
	struct reload *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	if (r->running) {
		struct config_errors errors;
		struct config *config = join(r, &errors);

		config_unref(&config);
		config_errors_fini(&errors);
	}
	ev_async_stop(r->loop, &r->done);
	free(r->path);
	free(r);
}

#include "daemon/guard.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "config/allow/domains.h"
#include "config/allow/listed.h"

struct guard {
	struct spool *loading; /* views: for the thread that loads, */
	struct spool *own;     /* for ours */
	char *path;	       /* of what is remembered */
	pthread_t thread;
	bool has_thread; /* to be joined */
	/* under the lock */
	pthread_mutex_t lock;
	struct config *next; /* to be remembered; NULL: nothing */
	bool running;
	/* the thread's */
	bool has_compared;
};

/* ---- What waits ---- */

static bool take_row(const struct spool_domain *row, void *arg)
{
	change_mail(arg, span_str(row->name), row->units);
	return true;
}

static void ask_spool(struct spool *sp, struct change *ch)
{
	enum mx_err err = spool_domains(sp, SPAN_LIT(""), take_row, ch);

	if (err != MX_OK)
		change_mail_unknown(ch, span_str(mx_strerror(err)));
}

void guard_mail(struct guard *g, struct change *ch)
{
	ask_spool(g->loading, ch);
}

/* What c changes against what is remembered at path.  False: nothing is. */
static bool compare(struct change *ch, struct spool *sp, const char *path,
		    const struct config *c)
{
	struct domains *old = listed_read(path);

	if (old == NULL)
		return false;
	change_find(ch, old, c->domains);
	if (ch->gone.count > 0)
		ask_spool(sp, ch);
	change_end(ch);
	domains_free(&old);
	return true;
}

/* ---- What waits for nobody who is listed ---- */

struct orphans {
	struct spool *sp;
	const struct config *config;
	struct change_names domains;
	uint64_t messages;
};

/* Reports to senders go to any domain: none of them needs to be listed. */
static bool is_no_report(const struct unit *u, void *arg)
{
	bool *found = arg;

	*found = !u->envelope.is_dsn;
	return !*found;
}

static bool take_orphan(const struct spool_domain *row, void *arg)
{
	struct span name = span_str(row->name);
	struct orphans *o = arg;
	bool found = false;

	if (row->units == 0 || domains_find(o->config->domains, name) != NULL)
		return true;
	(void)spool_list(o->sp, name, 0, is_no_report, &found);
	if (found) {
		change_names_add(&o->domains, name);
		o->messages += row->units;
	}
	return true;
}

/* "7 messages wait for 2 domains that are not listed: a.example, b.example" */
static void find_orphans(struct spool *sp, const struct config *c,
			 struct buf *out)
{
	struct orphans o = { .sp = sp, .config = c };
	enum mx_err err = spool_domains(sp, SPAN_LIT(""), take_orphan, &o);

	if (err != MX_OK)
		buf_addf(out, "what waits in the spool is not known: %s",
			 mx_strerror(err));
	if (o.domains.count > 0) {
		change_waiting(out, o.messages);
		buf_adds(out, " for ");
		change_count(out, o.domains.count, "domain");
		buf_addf(out, " that %s not listed: ",
			 o.domains.count == 1 ? "is" : "are");
		change_names_text(out, &o.domains);
	}
	buf_fini(&o.domains.names);
}

/* ---- At a reload ---- */

void guard_log_refused(const struct change *ch)
{
	struct span rest = buf_span(&ch->refusals.text);

	while (rest.n > 0)
		log_error(EV_RELOAD, LOG_SPAN("refused", span_cut(&rest, '\n')),
			  LOG_STR("remedy", "mend the file, or, if this is "
					    "meant: mx20ctl reload --force"));
}

void guard_log_forced(const struct change *ch)
{
	struct span rest = buf_span(&ch->refusals.text);

	while (rest.n > 0)
		log_warn(EV_RELOAD, LOG_SPAN("forced", span_cut(&rest, '\n')));
}

/* ---- At a start ---- */

static void shout(struct span line)
{
	log_error(EV_CONFIG, LOG_SPAN("error", line),
		  LOG_STR("remedy", "if this is an accident: mend the file, "
				    "then mx20ctl reload"));
}

/* A start cannot keep what was before, and nobody is served by none. */
static void shout_losses(struct guard *g, const struct config *c)
{
	struct change ch;

	if (!compare(&ch, g->own, g->path, c))
		return;
	for (struct span rest = buf_span(&ch.refusals.text); rest.n > 0;)
		shout(span_cut(&rest, '\n'));
	change_fini(&ch);
}

static void shout_orphans(struct guard *g, const struct config *c)
{
	struct buf text = { 0 };

	find_orphans(g->own, c, &text);
	if (text.n > 0)
		shout(buf_span(&text));
	buf_fini(&text);
}

static void shout_empty(const struct config *c)
{
	struct buf text = { 0 };

	if (c->domain_count > 0)
		return;
	buf_addf(&text, "%.*s: no domain is listed: all mail is refused (550)",
		 SPAN_ARG(c->domains_path));
	shout(buf_span(&text));
	buf_fini(&text);
}

/* ---- The thread ---- */

static void work(struct guard *g, const struct config *c)
{
	struct buf why = { 0 };

	if (!g->has_compared) {
		shout_empty(c);
		shout_losses(g, c);
		shout_orphans(g, c);
	}
	g->has_compared = true;
	if (!listed_write(g->path, c->domains, &why))
		log_warn(EV_CONFIG, LOG_SPAN("error", buf_span(&why)),
			 LOG_STR("warning",
				 "what is listed cannot be remembered: --check "
				 "and the next start compare with an older "
				 "list"));
	buf_fini(&why);
}

static struct config *next_work(struct guard *g)
{
	struct config *c;

	pthread_mutex_lock(&g->lock);
	c = g->next;
	g->next = NULL;
	g->running = c != NULL;
	pthread_mutex_unlock(&g->lock);
	return c;
}

static void *run(void *arg)
{
	struct guard *g = arg;
	struct config *c;

	while ((c = next_work(g)) != NULL) {
		work(g, c);
		config_unref(&c);
	}
	return NULL;
}

/* It has nothing more to do: this does not wait. */
static void join(struct guard *g)
{
	if (g->has_thread)
		pthread_join(g->thread, NULL);
	g->has_thread = false;
}

void guard_taken(struct guard *g, struct config *config)
{
	struct config *former;
	bool running;
	int errnum;

	pthread_mutex_lock(&g->lock);
	former = g->next;
	g->next = config_ref(config);
	running = g->running;
	g->running = true;
	pthread_mutex_unlock(&g->lock);
	config_unref(&former);
	if (running)
		return;
	join(g);
	errnum = pthread_create(&g->thread, NULL, run, g);
	g->has_thread = errnum == 0;
	if (g->has_thread)
		return; /* it says itself that it is through */
	g->running = false;
	log_warn(EV_CONFIG, LOG_STR("error", strerrordesc_np(errnum)),
		 LOG_STR("warning", "no thread to remember what is listed"));
}

static char *path_of(const struct config *c)
{
	struct buf path = { 0 };
	char *copy;

	buf_add(&path, c->spool.path);
	buf_adds(&path, "/listed");
	copy = mx_strdup(buf_cstr(&path));
	buf_fini(&path);
	return copy;
}

struct guard *guard_new(struct spool *sp, struct config *config)
{
	struct guard *g = mx_alloc(sizeof(*g));

	g->loading = spool_view(sp);
	g->own = spool_view(sp);
	g->path = path_of(config);
	pthread_mutex_init(&g->lock, NULL);
	guard_taken(g, config);
	return g;
}

void guard_free(struct guard **gp)
{
	struct guard *g = *gp;

	*gp = NULL;
	if (g == NULL)
		return;
	pthread_mutex_lock(&g->lock);
	config_unref(&g->next); /* what is under way is finished */
	pthread_mutex_unlock(&g->lock);
	join(g);
	spool_view_free(&g->loading);
	spool_view_free(&g->own);
	pthread_mutex_destroy(&g->lock);
	free(g->path);
	free(g);
}

/* ---- --check ---- */

static void print_lines(const char *before, struct span text)
{
	while (text.n > 0) {
		struct span line = span_cut(&text, '\n');

		printf("%s%.*s\n", before, SPAN_ARG(line));
	}
}

static void print_change(struct spool *sp, const char *path,
			 const struct config *c)
{
	struct buf text = { 0 };
	struct change ch;

	if (!compare(&ch, sp, path, c))
		return;
	change_text(&text, &ch);
	print_lines("", buf_span(&text));
	print_lines("a reload is refused without --force: ",
		    buf_span(&ch.refusals.text));
	buf_fini(&text);
	change_fini(&ch);
}

void guard_check(const struct config *config)
{
	struct buf text = { 0 }, why = { 0 };
	struct spool *sp = NULL;
	char *path = path_of(config);
	enum mx_err err = spool_open_reader(&sp, config->spool.path.p, &why);

	if (err == MX_OK) {
		print_change(sp, path, config);
		find_orphans(sp, config, &text);
	} else if (err != MX_ENOENT) {
		buf_addf(&text,
			 "what waits, and what changes, is not known: "
			 "%s",
			 buf_cstr(&why));
	}
	if (text.n > 0)
		buf_addc(&text, '\n');
	print_lines("", buf_span(&text));
	spool_close(&sp);
	free(path);
	buf_fini(&text);
	buf_fini(&why);
}

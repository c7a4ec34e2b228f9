#include "daemon/ctl/source.h"

/* ---- Opening ---- */

static enum mx_err open_spool(struct source *s, struct buf *why)
{
	const struct config *c = s->ctl->config;
	struct buf path = { 0 };
	enum mx_err err;

	buf_add(&path, c->spool.path);
	ctl_expect_crash();
	err = spool_open_reader(&s->spool, buf_cstr(&path), why);
	if (err == MX_OK) {
		spool_set_limits(s->spool, c->spool.size_bytes,
				 c->spool.reserve_bytes);
		s->memory = (struct status_memory){
			.spool = s->spool,
			.now_ms = s->ctl->now_ms,
			.stale_ms = config_stale_ms(c),
		};
		s->ops = &source_spool_ops;
	} else if (why->n == 0) {
		buf_addf(why, "%s: %s", buf_cstr(&path), mx_strerror(err));
	}
	buf_fini(&path);
	return err;
}

static enum ctl_exit open_link(struct source *s, struct buf *why)
{
	enum ctl_exit rc = link_open(&s->link, s->ctl, why);

	if (rc == CTL_DONE)
		s->ops = &source_link_ops;
	return rc;
}

/* Neither can be had.  That we may not is one thing with one remedy, whatever
 * else there is. */
static enum ctl_exit give_up(enum ctl_exit link, struct buf *link_why,
			     enum mx_err spool, struct buf *spool_why)
{
	if (spool != MX_EACCESS) {
		ctl_complain("%s", buf_cstr(spool_why));
		return CTL_FAILED;
	}
	ctl_complain("%s", buf_cstr(link_why));
	if (link == CTL_UNREACHABLE)
		ctl_complain("%s, and without mx20d only root may look there",
			     buf_cstr(spool_why));
	return link;
}

enum ctl_exit source_open(struct source *s, const struct ctl *ctl,
			  enum source_wish wish)
{
	struct buf link_why = { 0 }, spool_why = { 0 };
	enum ctl_exit rc = CTL_DONE;
	enum mx_err err = MX_ENOENT;

	*s = (struct source){ .ctl = ctl, .link.fd = -1 };
	if (wish == SOURCE_SPOOL)
		err = open_spool(s, &spool_why);
	if (err != MX_OK)
		rc = open_link(s, &link_why);
	if (rc != CTL_DONE && wish == SOURCE_DAEMON) {
		err = open_spool(s, &spool_why);
		if (err == MX_OK)
			ctl_complain("%s", buf_cstr(&link_why));
	}
	if (s->ops != NULL)
		rc = CTL_DONE;
	else
		rc = give_up(rc, &link_why, err, &spool_why);
	buf_fini(&link_why);
	buf_fini(&spool_why);
	return rc;
}

enum ctl_exit source_open_live(struct source *s, const struct ctl *ctl,
			       struct buf *why)
{
	*s = (struct source){ .ctl = ctl, .link.fd = -1 };
	return open_link(s, why);
}

void source_close(struct source *s)
{
	link_close(&s->link);
	status_memory_fini(&s->memory);
	if (s->spool != NULL)
		spool_close(&s->spool);
	buf_fini(&s->error);
}

bool source_is_live(const struct source *s)
{
	return s->ops == &source_link_ops;
}

/* ---- Looking ---- */

/* The daemon cannot go on; true: the spool does. */
static bool falls_back(struct source *s, enum mx_err err)
{
	struct buf why = { 0 };
	bool ok;

	if (!source_is_live(s) || (err != MX_ENET && err != MX_EINVAL))
		return false;
	ok = open_spool(s, &why) == MX_OK;
	buf_fini(&why);
	if (!ok)
		return false;
	ctl_complain(err == MX_ENET
			     ? "mx20d stopped answering: the rest is as last"
			       " known"
			     : "mx20d is of another version: states are as"
			       " last known");
	link_close(&s->link);
	buf_reset(&s->error);
	return true;
}

enum mx_err source_overview(struct source *s, json_t **out)
{
	enum mx_err err;

	do
		err = s->ops->overview(s, out);
	while (falls_back(s, err));
	return err;
}

enum mx_err source_domains(struct source *s, struct status_page *p)
{
	enum mx_err err;

	do
		err = s->ops->domains(s, p);
	while (falls_back(s, err));
	return err;
}

enum mx_err source_messages(struct source *s, struct span domain,
			    struct status_page *p)
{
	enum mx_err err;

	do
		err = s->wanted != NULL ? s->ops->search(s, domain, p)
					: s->ops->messages(s, domain, p);
	while (falls_back(s, err));
	return err;
}

enum mx_err source_outages(struct source *s, struct span domain,
			   struct status_page *p)
{
	enum mx_err err;

	do
		err = s->ops->outages(s, domain, p);
	while (falls_back(s, err));
	return err;
}

enum mx_err source_find(struct source *s, struct span word,
			struct status_page *p)
{
	enum mx_err err;

	do
		err = s->ops->find(s, word, p);
	while (falls_back(s, err));
	return err;
}

enum mx_err source_tally(struct source *s, int64_t since_ms,
			 struct status_page *p)
{
	enum mx_err err;

	do
		err = s->ops->tally(s, since_ms, p);
	while (falls_back(s, err));
	return err;
}

enum mx_err source_domain(struct source *s, struct span name, json_t **out)
{
	enum mx_err err;

	do
		err = s->ops->domain(s, name, out);
	while (falls_back(s, err));
	return err;
}

enum mx_err source_message(struct source *s, struct span id, json_t **out)
{
	enum mx_err err;

	do
		err = s->ops->message(s, id, out);
	while (falls_back(s, err));
	return err;
}

enum mx_err source_content(struct source *s, struct span id, uint64_t offset,
			   struct buf *out)
{
	enum mx_err err;

	do
		err = s->ops->content(s, id, offset, out);
	while (falls_back(s, err));
	return err;
}

enum ctl_exit source_end(const struct source *s, enum mx_err err)
{
	if (err == MX_OK)
		return CTL_DONE;
	if (err == MX_ENET) {
		ctl_complain("mx20d hung up");
		return CTL_UNREACHABLE;
	}
	if (s->error.n > 0)
		ctl_complain("%s: %.*s", s->ctl->verb,
			     SPAN_ARG(buf_span(&s->error)));
	else
		ctl_complain("the spool cannot be read: %s", mx_strerror(err));
	return CTL_FAILED;
}

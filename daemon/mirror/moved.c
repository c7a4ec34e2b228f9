#include "daemon/mirror/moved.h"

#include "common/base/log.h"
#include "common/mail/header.h"

/* A Message-ID further down is nobody's. */
enum { HEAD_BYTES = 16384 };

struct telling {
	struct mirror *m;
	struct mirror_moved what;
	struct buf from, to;
	uint64_t rcpts, size;
};

static bool add_unit(const struct unit *u, void *arg)
{
	struct telling *t = arg;

	if (t->rcpts == 0)
		buf_add(&t->from, u->envelope.from);
	t->size = u->envelope.bytes;
	for (size_t i = 0; i < u->rcpt_count; i++)
		if (t->rcpts++ < LOG_PATHS_MAX)
			log_list_path(&t->to, t->rcpts - 1, u->rcpts[i].path);
	if (t->m->opt.moved != NULL)
		t->m->opt.moved(&t->what, u, t->m->opt.arg);
	return true;
}

static void scan(struct mirror *m, uint64_t id, struct mail_scan *s)
{
	struct buf head = { 0 };

	if (spool_content(m->opt.spool, id, 0, HEAD_BYTES, &head) == MX_OK)
		mail_scan_feed(s, buf_span(&head));
	buf_fini(&head);
}

static void tell(struct mirror *m, const struct mirror_moved *what)
{
	const bool is_here = what->is_here;
	struct telling t = { .m = m, .what = *what };
	struct mail_scan s = { 0 };

	(void)spool_message(m->opt.spool, what->id, add_unit, &t);
	if (t.rcpts > 0) {
		scan(m, what->id, &s);
		log_info(is_here ? EV_TAKEN : EV_DROPPED,
			 LOG_ID("mid", what->id),
			 LOG_ID(is_here ? "was" : "now", what->there),
			 LOG_STR(is_here ? "node" : "by", what->node),
			 LOG_SPAN("msgid", span_of(s.msgid, s.msgid_n)),
			 LOG_PATH("from", buf_span(&t.from)),
			 LOG_SPAN("to", buf_span(&t.to)),
			 LOG_INT("rcpts", t.rcpts), LOG_INT("size", t.size));
	}
	buf_fini(&t.from);
	buf_fini(&t.to);
}

void moved_here(struct mirror *m, uint64_t id, uint64_t was, const char *node)
{
	tell(m, &(struct mirror_moved){ id, was, node, true });
}

void moved_away(struct mirror *m, uint64_t id, uint64_t now, const char *node)
{
	tell(m, &(struct mirror_moved){ id, now, node, false });
}

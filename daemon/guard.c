#include "daemon/guard.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

struct guard {
	struct spool *view; /* for the loading thread */
};

struct guard *guard_new(struct spool *sp)
{
	struct guard *g = mx_alloc(sizeof(*g));

	g->view = spool_view(sp);
	return g;
}

void guard_free(struct guard **g)
{
	if (*g == NULL)
		return;
	spool_view_free(&(*g)->view);
	free(*g);
	*g = NULL;
}

static bool take_row(const struct spool_domain *row, void *arg)
{
	change_mail(arg, span_str(row->name), row->units);
	return true;
}

void guard_mail(struct guard *g, struct change *ch)
{
	enum mx_err err = spool_domains(g->view, SPAN_LIT(""), take_row, ch);

	if (err != MX_OK)
		change_mail_unknown(ch, span_str(mx_strerror(err)));
}

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

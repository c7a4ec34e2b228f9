#include "daemon/drain/strangers.h"

#include "daemon/drain/drain_priv.h"

void strangers_note(struct domain *dom, bool is_stranger)
{
	struct strangers *s = &dom->drain->strangers;

	if (dom->is_stranger == is_stranger)
		return;
	dom->is_stranger = is_stranger;
	s->count += is_stranger ? 1 : -1U;
	if (is_stranger)
		TAILQ_INSERT_TAIL(&s->known, dom, stranger);
	else
		TAILQ_REMOVE(&s->known, dom, stranger);
}

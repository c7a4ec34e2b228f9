#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/spool_priv.h"

/*
 * LMDB must not be opened twice in one process: a view has the environment of
 * the spool it was made of, and a read transaction of its own.
 */
struct spool *spool_view(struct spool *sp)
{
	struct spool *view = mx_alloc(sizeof(*view));

	MX_ASSERT(!sp->is_reader);
	view->is_reader = true;
	view->env = sp->env;
	/* named as well: a view must not open another after a failure */
	view->read_env = sp->read_env != NULL ? sp->read_env : sp->env;
	for (size_t i = 0; i < T_COUNT; i++)
		view->tables[i].dbi = sp->tables[i].dbi;
	return view;
}

void spool_view_free(struct spool **vp)
{
	struct spool *view = *vp;

	*vp = NULL;
	if (view == NULL)
		return;
	MX_ASSERT(view->reading == 0);
	mdb_txn_abort(view->read_txn); /* NULL is fine */
	free(view);
}

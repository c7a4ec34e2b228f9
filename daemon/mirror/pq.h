/*
 * libpq, loaded when a mirror is configured: whoever has none needs no such
 * library.  Its functions are pq()->name where its manual says PQname.
 */
#ifndef MX_MIRROR_PQ_H
#define MX_MIRROR_PQ_H

#include <libpq-fe.h>

#include "common/base/buf.h"

#define PQ_FUNCTIONS(X)                                                        \
	X(cancel)                                                              \
	X(clear)                                                               \
	X(cmdTuples)                                                           \
	X(conndefaults)                                                        \
	X(conninfoFree)                                                        \
	X(conninfoParse)                                                       \
	X(connectPoll) X(connectStartParams) X(consumeInput) X(                \
		enterPipelineMode) X(errorMessage) X(exitPipelineMode)         \
		X(finish) X(flush) X(freeCancel) X(freemem) X(getCancel) X(    \
			getResult) X(getisnull) X(getlength) X(getvalue)       \
			X(host) X(isBusy) X(nfields) X(ntuples) X(             \
				parameterStatus) X(pipelineSync)               \
				X(resultErrorField) X(resultStatus) X(         \
					sendPrepare) X(sendQueryParams)        \
					X(sendQueryPrepared) X(serverVersion)  \
						X(setNoticeReceiver)  X(       \
							setnonblocking)        \
							X(socket) X(status)

struct pq {
#define PQ_MEMBER(name) __typeof__(PQ##name) *name;
	PQ_FUNCTIONS(PQ_MEMBER)
#undef PQ_MEMBER
};

/* False: why says what to install.  From any thread, as often as wanted. */
bool pq_load(struct buf *why);
/* Behind pq_load. */
const struct pq *pq(void);

#endif

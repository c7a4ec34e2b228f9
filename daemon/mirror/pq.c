#include "daemon/mirror/pq.h"

#include <dlfcn.h>
#include <pthread.h>

#include "common/base/assert.h"

#define LIBRARY "libpq.so.5"

static struct pq loaded;
static bool is_loaded;

static const struct {
	const char *name;
	size_t at;
} functions[] = {
#define PQ_ROW(name) { "PQ" #name, offsetof(struct pq, name) },
	PQ_FUNCTIONS(PQ_ROW)
#undef PQ_ROW
};

static bool load(struct buf *why)
{
	void *library = is_loaded ? NULL : dlopen(LIBRARY, RTLD_NOW);

	if (is_loaded)
		return true;
	if (library == NULL) {
		buf_adds(why, LIBRARY " cannot be loaded: install it (Debian: "
				      "libpq5)");
		return false;
	}
	for (size_t i = 0; i < COUNT(functions); i++) {
		void *function = dlsym(library, functions[i].name);

		if (function == NULL) {
			buf_addf(why,
				 LIBRARY " has no %s: version 14 or later "
					 "is needed",
				 functions[i].name);
			dlclose(library);
			return false;
		}
		memcpy((char *)&loaded + functions[i].at, &function,
		       sizeof(function));
	}
	is_loaded = true; /* and stays so */
	return true;
}

bool pq_load(struct buf *why)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	bool ok;

	pthread_mutex_lock(&lock);
	ok = load(why);
	pthread_mutex_unlock(&lock);
	return ok;
}

const struct pq *pq(void)
{
	MX_ASSERT(is_loaded);
	return &loaded;
}

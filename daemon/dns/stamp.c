#include "daemon/dns/stamp.h"

#include <sys/stat.h>

void stamp_take(struct stamp *s, const char *path)
{
	struct stat st;

	*s = (struct stamp){ 0 };
	if (stat(path, &st) != 0)
		return;
	s->device = st.st_dev;
	s->inode = st.st_ino;
	s->bytes = st.st_size;
	s->changed_s = st.st_mtim.tv_sec;
	s->changed_ns = st.st_mtim.tv_nsec;
}

bool stamp_eq(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode &&
	       a->bytes == b->bytes && a->changed_s == b->changed_s &&
	       a->changed_ns == b->changed_ns;
}

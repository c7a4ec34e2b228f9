#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/spool/internal.h"

/*
 * The pages of the file that were looked at stay mapped, 64 KiB around each
 * and more: after a day the process seems to be as large as its spool, though
 * all of it is page cache.  Now and then the mapping is emptied; what is
 * needed again comes back from the cache at the cost of a soft fault.
 */
enum { MAPPED_MAX_BYTES = 4 << 20 };

/* A line of /proc/self/maps: from-to mode offset major:minor inode path.
 * Is it the file with this identity? */
static bool is_ours(const char *line, const struct stat *st, uintptr_t *from,
		    uintptr_t *to)
{
	char *at;
	unsigned long major_no, minor_no;

	*from = strtoul(line, &at, 16);
	if (*at != '-')
		return false;
	*to = strtoul(at + 1, &at, 16);
	at = strchr(at + (*at == ' '), ' '); /* behind the mode */
	if (at == NULL || (at = strchr(at + 1, ' ')) == NULL)
		return false;
	major_no = strtoul(at + 1, &at, 16);
	if (*at != ':')
		return false;
	minor_no = strtoul(at + 1, &at, 16);
	return strtoul(at, NULL, 10) == st->st_ino &&
	       makedev((unsigned)major_no, (unsigned)minor_no) == st->st_dev;
}

/* Bytes of files that are mapped and present in this process: the third
 * number of /proc/self/statm, in pages. */
static uint64_t mapped_bytes(const struct spool *sp)
{
	char text[128] = "";
	char *at = text;
	uint64_t pages = 0;

	if (sp->statm_fd < 0 ||
	    pread(sp->statm_fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	for (int i = 0; i < 3; i++)
		pages = strtoul(at, &at, 10);
	return pages * sp->page_bytes;
}

/* LMDB does not tell where its map is; the kernel does. */
void mapping_find(struct spool *sp)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	struct stat st;
	uintptr_t from, to;

	sp->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	sp->mapped_before = mapped_bytes(sp);
	if (f == NULL)
		return;
	if (fstat(sp->fd, &st) == 0)
		while (sp->map == NULL && fgets(line, sizeof(line), f) != NULL)
			if (is_ours(line, &st, &from, &to)) {
				sp->map = (char *)from;
				sp->map_length = to - from;
				/* one look would map 2 MiB of a large folio */
				madvise(sp->map, sp->map_length,
					MADV_NOHUGEPAGE);
			}
	fclose(f);
}

void mapping_trim(struct spool *sp)
{
	/* what is mapped beside the spool are programs and libraries */
	if (sp->map == NULL ||
	    mapped_bytes(sp) <= sp->mapped_before + MAPPED_MAX_BYTES)
		return;
	madvise(sp->map, sp->map_length, MADV_DONTNEED);
}

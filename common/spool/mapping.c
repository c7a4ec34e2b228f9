#include <stdio.h>
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
enum { MAPPED_MAX_BYTES = 16 << 20 };

/* LMDB does not tell where its map is; the kernel does. */
void mapping_find(struct spool *sp)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	struct stat st;

	if (f == NULL)
		return;
	if (fstat(sp->fd, &st) != 0)
		st.st_ino = 0;
	while (sp->map == NULL && fgets(line, sizeof(line), f) != NULL) {
		unsigned long from, to, inode;
		unsigned major_no, minor_no;

		if (sscanf(line, "%lx-%lx %*s %*s %x:%x %lu", &from, &to,
			   &major_no, &minor_no, &inode) != 5 ||
		    inode != st.st_ino ||
		    makedev(major_no, minor_no) != st.st_dev)
			continue;
		sp->map = (void *)from;
		sp->map_length = to - from;
	}
	fclose(f);
}

/* Bytes of files that are mapped and present in this process. */
static uint64_t mapped_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long shared = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%*s %*s %lu", &shared) != 1)
		shared = 0;
	fclose(f);
	return (uint64_t)shared * (uint64_t)sysconf(_SC_PAGESIZE);
}

void mapping_trim(struct spool *sp)
{
	if (sp->map == NULL || mapped_bytes() <= MAPPED_MAX_BYTES)
		return;
	madvise(sp->map, sp->map_length, MADV_DONTNEED);
}

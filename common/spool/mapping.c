#include "common/spool/mapping.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/spool/spool_priv.h"
#include "common/spool/look.h"

/*
 * The pages of the file that were looked at stay mapped, 64 KiB around each
 * and more: after a day the process seems to be as large as its spool, though
 * all of it is page cache.  Now and then the mapping is emptied; what is
 * needed again comes back from the cache at the cost of a soft fault.
 */
enum { MAPPED_MAX_BYTES = 4 << 20 };

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

/* Where a row of the file stands in memory; 0: there is none. */
static uintptr_t address_within(struct spool *sp)
{
	struct span row = { 0 };
	MDB_txn *txn;

	if (read_begin(sp, &txn) != MX_OK)
		return 0;
	table_get_name(&sp->tables[T_META], txn, SPAN_LIT("schema"), &row);
	read_end(sp);
	return (uintptr_t)row.p;
}

/* LMDB does not tell where its map is; the kernel does, in lines that begin
 * with from-to. */
void mapping_find(struct spool *sp)
{
	uintptr_t at = address_within(sp);
	char line[512], *rest;
	FILE *f;

	sp->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	sp->mapped_before = mapped_bytes(sp);
	f = fopen("/proc/self/maps", "re");
	if (f == NULL)
		return;
	while (sp->map == NULL && fgets(line, sizeof(line), f) != NULL) {
		uintptr_t from = strtoul(line, &rest, 16);
		uintptr_t to = *rest == '-' ? strtoul(rest + 1, NULL, 16) : 0;

		if (at < from || at >= to)
			continue;
		sp->map = (char *)from;
		sp->map_length = to - from;
		/* one look would map 2 MiB of a large folio */
		madvise(sp->map, sp->map_length, MADV_NOHUGEPAGE);
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

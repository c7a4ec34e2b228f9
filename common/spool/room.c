#include "common/spool/room.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "common/spool/spool_priv.h"
#include "common/spool/queue.h"

/*
 * How full is it?  Pages in use are the sum over the tables of what LMDB
 * counts anyway, its free list included: a few dozen additions, whatever the
 * length of the queue.  The file never shrinks; what it holds beyond the used
 * pages is room that costs the disk nothing.
 *
 * Deleting needs pages, too: LMDB copies what it changes.  Its free list may
 * have too few of them, so a cushion of blocks behind the end of the file is
 * kept for deletions, which nobody who fills the disk can take away.  Where
 * the file has plenty of free pages it needs none.
 */
enum {
	CUSHION_BYTES = 1 << 20, /* some dozen recorded outcomes */
	AHEAD_BYTES = 1 << 20, /* more than asked for, while there is plenty */

	TIGHT_PART = 5,
	MARGIN_PART = 16, /* of the quota kept for deletions */
	MARGIN_MAX = 64 << 20,
	ROWS_BYTES = 8 << 10, /* rows of a message, and page ends */
	META_PAGES = 2,
};

#define MAP_PART(map) ((map) / 8 * 7)

/* More than 80 % used is tight (fair.c).  A spool that is nearly empty on a
 * disk that is nearly full is, too: less room than a 64th of its quota is left.
 * Without room for a full piece of content it is full. */
enum { TIGHT_LEFT_PART = 64 };

void room_init(struct spool *sp, const struct spool_options *opt)
{
	atomic_store(&sp->room.is_short, false);
	spool_set_limits(sp, opt->size_bytes, opt->reserve_bytes);
	room_look(sp);
}

void spool_set_limits(struct spool *sp, uint64_t size_bytes,
		      uint64_t reserve_bytes)
{
	uint64_t most = sp->is_reader ? size_bytes : MAP_PART(sp->map_bytes);

	atomic_store(&sp->room.size_bytes,
		     size_bytes < most ? size_bytes : most);
	atomic_store(&sp->room.reserve_bytes, reserve_bytes);
}

static uint64_t pages_of(MDB_txn *txn, MDB_dbi dbi)
{
	MDB_stat st;

	if (mdb_stat(txn, dbi, &st) != MDB_SUCCESS)
		return 0;
	return st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
}

void room_count(struct spool *sp, MDB_txn *txn)
{
	enum { DBI_FREE = 0, DBI_MAIN = 1 }; /* LMDB's own two tables */
	uint64_t pages =
		META_PAGES + pages_of(txn, DBI_FREE) + pages_of(txn, DBI_MAIN);

	for (size_t i = 0; i < T_COUNT; i++)
		pages += pages_of(txn, sp->tables[i].dbi);
	atomic_store_explicit(&sp->room.used_bytes, pages * sp->page_bytes,
			      memory_order_relaxed);
}

void room_look(struct spool *sp)
{
	MDB_envinfo info;
	struct statvfs vfs;
	uint64_t used = atomic_load(&sp->room.used_bytes);
	uint64_t file;

	if (mdb_env_info(sp->env, &info) == MDB_SUCCESS) {
		file = (info.me_last_pgno + 1) * sp->page_bytes;
		atomic_store(&sp->room.spare_bytes,
			     file > used ? file - used : 0);
	}
	if (fstatvfs(sp->fd, &vfs) == 0)
		atomic_store(&sp->room.disk_bytes,
			     (uint64_t)vfs.f_bavail * vfs.f_frsize);
}

/* Where the file will end when this much more has been stored, at most. */
static uint64_t end_after(struct spool *sp, uint64_t bytes, uint64_t *end)
{
	uint64_t spare = atomic_load(&sp->room.spare_bytes) / 2;
	MDB_envinfo info;

	*end = mdb_env_info(sp->env, &info) == MDB_SUCCESS
		       ? (info.me_last_pgno + 1) * sp->page_bytes
		       : 0;
	return *end + (bytes > spare ? bytes - spare : 0);
}

/* The blocks of the file from its end to there.  MX_ESPACE: not to be had. */
static enum mx_err secure_to(struct spool *sp, uint64_t end, uint64_t to)
{
	if (fallocate(sp->fd, FALLOC_FL_KEEP_SIZE, (off_t)end,
		      (off_t)(to - end)) == 0)
		sp->room.secured_to = to;
	else if (errno == EOPNOTSUPP || errno == ENOSYS)
		sp->room.secured_to = UINT64_MAX; /* this disk cannot */
	else
		return mx_from_errno(errno);
	return MX_OK;
}

bool room_secure(struct spool *sp, uint64_t bytes)
{
	struct room *r = &sp->room;
	uint64_t end, need = end_after(sp, bytes + CUSHION_BYTES, &end);

	if (need <= r->secured_to)
		return true;
	if (atomic_load(&r->disk_bytes) >
		    atomic_load(&r->reserve_bytes) + 8 * AHEAD_BYTES &&
	    secure_to(sp, end, need + AHEAD_BYTES) == MX_OK)
		return true;
	return secure_to(sp, end, need) != MX_ESPACE;
}

uint64_t room_need(uint64_t content_bytes)
{
	return content_bytes + content_bytes / 64 + ROWS_BYTES;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What may still be given away, the margin not counted; *is_disk: the disk
 * sets the bound. */
static uint64_t left(const struct room *r, bool may_use_margin, bool *is_disk)
{
	uint64_t size = atomic_load(&r->size_bytes);
	uint64_t disk = atomic_load(&r->disk_bytes);
	uint64_t reserve = atomic_load(&r->reserve_bytes);
	uint64_t margin = size / MARGIN_PART;
	uint64_t quota;

	if (margin > MARGIN_MAX)
		margin = MARGIN_MAX;
	if (may_use_margin)
		margin = reserve = 0;
	quota = minus(size, atomic_load(&r->used_bytes) + margin);
	/* Pages free inside the file need none of the disk's, but they may
	 * be too scattered for a run: count half of them. */
	disk = disk < reserve
		       ? 0
		       : disk - reserve + atomic_load(&r->spare_bytes) / 2;
	*is_disk = disk < quota;
	return *is_disk ? disk : quota;
}

bool room_is_tight(const struct spool *sp, uint64_t coming)
{
	uint64_t left = room_left(sp, false);

	return left < coming ||
	       left - coming <
		       (atomic_load(&sp->room.used_bytes) + left) / TIGHT_PART;
}

static enum spool_pressure pressure_of(struct spool *sp, uint64_t room)
{
	const struct room *r = &sp->room;

	if (spool_has_failed(sp))
		return SPOOL_FAILED;
	if (room < room_need(CHUNK_PAGES_BYTES) + r->reserved_bytes)
		return SPOOL_FULL;
	if (room_is_tight(sp, 0) ||
	    room < atomic_load(&r->size_bytes) / TIGHT_LEFT_PART)
		return SPOOL_TIGHT;
	return SPOOL_ROOMY;
}

void spool_space_get(struct spool *sp, struct spool_space *out)
{
	const struct room *r = &sp->room;

	*out = (struct spool_space){
		.used_bytes = atomic_load(&r->used_bytes),
		.size_bytes = atomic_load(&r->size_bytes),
		.disk_bytes = atomic_load(&r->disk_bytes),
		.reserve_bytes = atomic_load(&r->reserve_bytes),
	};
	out->pressure = pressure_of(sp, left(r, false, &out->is_disk));
}

const char *spool_pressure_name(enum spool_pressure p)
{
	static const char *const names[] = {
		[SPOOL_ROOMY] = "ok",
		[SPOOL_TIGHT] = "tight",
		[SPOOL_FULL] = "full",
		[SPOOL_FAILED] = "failed",
	};

	return names[p];
}

uint64_t room_left(const struct spool *sp, bool may_use_margin)
{
	bool is_disk;

	return left(&sp->room, may_use_margin, &is_disk);
}

void room_is_wanted(struct spool *sp)
{
	if (!atomic_exchange(&sp->room.is_short, true))
		queue_wake(sp); /* somebody may make room */
}

enum mx_err room_check(struct spool *sp, uint64_t bytes, bool may_use_margin)
{
	if (spool_has_failed(sp))
		return MX_EIO;
	if (sp->room.reserved_bytes + bytes <= room_left(sp, may_use_margin))
		return MX_OK;
	room_is_wanted(sp);
	return MX_ESPACE;
}

enum mx_err room_take(struct spool *sp, uint64_t bytes, bool may_use_margin)
{
	enum mx_err err = room_check(sp, bytes, may_use_margin);

	if (err == MX_OK)
		sp->room.reserved_bytes += bytes;
	MX_ASSERT(sp->room.reserved_bytes >= bytes || err != MX_OK);
	return err;
}

void room_give(struct spool *sp, uint64_t bytes)
{
	MX_ASSERT(bytes <= sp->room.reserved_bytes);
	sp->room.reserved_bytes -= bytes;
}

uint64_t spool_left(const struct spool *sp)
{
	return minus(room_left(sp, false), sp->room.reserved_bytes);
}

bool spool_has_failed(const struct spool *sp)
{
	return atomic_load_explicit(&sp->has_failed, memory_order_relaxed);
}

enum mx_err spool_room(struct spool *sp, uint64_t expect_bytes)
{
	return room_check(sp, room_need(expect_bytes), false);
}

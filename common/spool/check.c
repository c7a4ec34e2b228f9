#include "common/spool/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"

/*
 * The file format of LMDB 0.9, in the byte order of the machine:
 *
 *   page    pgno:8 pad:2 flags:2 lower:2 upper:2   (overflow: pages:4 instead
 *           of lower and upper), then from 16 on lower/2 offsets of nodes
 *   node    low:2 high:2 flags:2 keysize:2 key data
 *           in a branch low, high and flags are the child's page number, in a
 *           leaf low and high are the size of the data
 *   pages 0 and 1 hold a meta each, the newer one counts:
 *           magic:4 version:4 address:8 mapsize:8 free:db main:db last:8 txn:8
 *   db      pad:4 flags:2 depth:2 branch:8 leaf:8 overflow:8 entries:8 root:8
 *           (pad of free is the page size)
 */
enum {
	PAGE_HEADER = 16,
	NODE_HEADER = 8,
	PAGE_MOST = 64 << 10,
	PAGE_LEAST = 512,
	P_BRANCH = 1,
	P_LEAF = 2,
	P_OVERFLOW = 4,
	P_META = 8,
	DB_INTEGERKEY = 8, /* the free list; our tables have no flags */
	NODE_BIG = 1,
	NODE_SUBDATA = 2,
	KEY_MOST = 511,
	DB_SIZE = 48,
	DEPTH_MOST = 32,
	META_AT = PAGE_HEADER,
	META_FREE = META_AT + 24,
	META_MAIN = META_FREE + DB_SIZE,
	META_LAST = META_MAIN + DB_SIZE,
	META_TXN = META_LAST + 8,
	META_END = META_TXN + 8,
};
#define META_MAGIC 0xBEEFC0DEU
#define NO_ROOT UINT64_MAX

/* Whose tree a page belongs to: it says what its leaves may hold. */
enum tree { TREE_FREE, TREE_MAIN, TREE_TABLE };

/* A page still to be looked at. */
struct visit {
	uint64_t pgno;
	enum tree tree;
	unsigned depth; /* 1: a leaf; 0: an overflow run */
	uint64_t bytes; /* overflow: the size of its data */
};

struct check {
	int fd;
	uint64_t file_bytes, last;
	size_t page_bytes;
	struct buf *why;
	unsigned char *page;
	uint32_t *sizes;     /* of the nodes that begin at twice the index */
	unsigned char *seen; /* a bit per page */
	struct visit *queue; /* breadth first */
	size_t head, count, cap;
};

/* A number of 2, 4 or 8 bytes. */
static uint64_t num(const unsigned char *p, size_t n)
{
	uint64_t v8 = 0;
	uint32_t v4 = 0;
	uint16_t v2 = 0;

	switch (n) {
	case 2:
		memcpy(&v2, p, 2);
		return v2;
	case 4:
		memcpy(&v4, p, 4);
		return v4;
	default:
		memcpy(&v8, p, 8);
		return v8;
	}
}

static bool bad(struct check *c, uint64_t pgno, const char *what)
{
	if (c->why != NULL)
		buf_addf(c->why, "damaged: page %llu: %s",
			 (unsigned long long)pgno, what);
	return false;
}

static bool read_at(struct check *c, uint64_t at, void *to, size_t n)
{
	char *p = to;

	while (n > 0) {
		ssize_t got = pread(c->fd, p, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

/* Mark a page as used; `what` is said of one that is marked already. */
static bool claim(struct check *c, uint64_t pgno, const char *what)
{
	unsigned char *byte = &c->seen[pgno / 8], bit = 1U << pgno % 8;

	if (*byte & bit)
		return bad(c, pgno, what);
	*byte |= bit;
	return true;
}

static bool push(struct check *c, struct visit v)
{
	if (v.pgno < 2 || v.pgno > c->last)
		return bad(c, v.pgno, "is outside the file");
	if (!claim(c, v.pgno, "is used twice"))
		return false;
	if (c->count == c->cap) {
		c->cap = c->cap > 0 ? c->cap * 2 : 256;
		c->queue = mx_realloc(c->queue, c->cap * sizeof(*c->queue));
	}
	c->queue[c->count++] = v;
	return true;
}

static bool push_root(struct check *c, const unsigned char *db, enum tree tree,
		      uint64_t on_page)
{
	uint64_t depth = num(db + 6, 2), root = num(db + 40, 8);
	uint64_t flags = num(db + 4, 2);

	/* LMDB believes in sorted duplicates it is told of, and stops */
	if (flags != (tree == TREE_FREE ? DB_INTEGERKEY : 0))
		return bad(c, on_page, "a table of unknown kind");
	if (root == NO_ROOT)
		return depth == 0 || bad(c, on_page, "a depth without a root");
	if (depth == 0 || depth > DEPTH_MOST)
		return bad(c, on_page, "an impossible depth");
	return push(c, (struct visit){ .pgno = root,
				       .tree = tree,
				       .depth = (unsigned)depth });
}

/* Page numbers that are free: count, then the numbers, falling. */
static bool check_free_list(struct check *c, uint64_t pgno,
			    const unsigned char *data, size_t n)
{
	uint64_t count, before = UINT64_MAX;

	if (n < 8 || n % 8 != 0)
		return bad(c, pgno, "a free list of odd size");
	count = num(data, 8);
	if (count > n / 8 - 1)
		return bad(c, pgno, "a free list that is cut off");
	for (uint64_t i = 1; i <= count; i++) {
		uint64_t page = num(data + 8 * i, 8);

		if (page < 2 || page > c->last || page >= before)
			return bad(c, pgno, "a free list out of order");
		before = page;
		if (!claim(c, page, "is used and free"))
			return false;
	}
	return true;
}

static uint64_t data_size(const unsigned char *node)
{
	return num(node, 2) | num(node + 2, 2) << 16;
}

/* What a node takes of its page: nodes begin at even offsets. */
static uint64_t node_size(const unsigned char *node, bool is_leaf)
{
	uint64_t n = NODE_HEADER + num(node + 6, 2);

	if (is_leaf)
		n += num(node + 4, 2) & NODE_BIG ? 8 : data_size(node);
	return n + (n & 1);
}

static bool check_leaf_node(struct check *c, const struct visit *v,
			    const unsigned char *node)
{
	uint64_t size = data_size(node);
	uint64_t flags = num(node + 4, 2), key = num(node + 6, 2);
	const unsigned char *data = node + NODE_HEADER + key;

	if (flags & ~(uint64_t)(NODE_BIG | NODE_SUBDATA))
		return bad(c, v->pgno, "a node of unknown kind");
	if (flags & NODE_BIG)
		return push(c, (struct visit){ .pgno = num(data, 8),
					       .tree = v->tree,
					       .bytes = size });
	if (v->tree == TREE_FREE)
		return check_free_list(c, v->pgno, data, (size_t)size);
	if (v->tree != TREE_MAIN)
		return flags == 0 || bad(c, v->pgno, "a table in a table");
	if (!(flags & NODE_SUBDATA) || size != DB_SIZE)
		return bad(c, v->pgno, "something else than a table");
	return push_root(c, data, TREE_TABLE, v->pgno);
}

static bool check_node(struct check *c, const struct visit *v, size_t at,
		       uint64_t *size)
{
	const unsigned char *node = c->page + at;

	if (at > c->page_bytes - NODE_HEADER)
		return bad(c, v->pgno, "a node across its end");
	*size = node_size(node, v->depth == 1);
	if (*size > c->page_bytes - at || num(node + 6, 2) > KEY_MOST)
		return bad(c, v->pgno, "a node across its end");
	if (v->depth == 1)
		return check_leaf_node(c, v, node);
	return push(c, (struct visit){
			       .pgno = num(node, 2) | num(node + 2, 2) << 16 |
				       num(node + 4, 2) << 32,
			       .tree = v->tree,
			       .depth = v->depth - 1,
		       });
}

/* LMDB moves nodes by their sizes when one goes: they must stand end to end.
 * Leaves c->sizes empty. */
static bool check_tiling(struct check *c, const struct visit *v, size_t upper)
{
	size_t nodes = (num(c->page + 12, 2) - PAGE_HEADER) / 2;
	size_t at = upper, seen = 0;

	while (at < c->page_bytes && c->sizes[at / 2] != 0) {
		size_t size = c->sizes[at / 2];

		c->sizes[at / 2] = 0;
		at += size;
		seen++;
	}
	return (at == c->page_bytes && seen == nodes) ||
	       bad(c, v->pgno, "nodes that overlap or leave gaps");
}

static bool check_tree_page(struct check *c, const struct visit *v)
{
	size_t lower = num(c->page + 12, 2), upper = num(c->page + 14, 2);
	unsigned want = v->depth == 1 ? P_LEAF : P_BRANCH;
	uint64_t size;

	if (num(c->page + 10, 2) != want)
		return bad(c, v->pgno, "is of another kind than expected");
	if (lower < PAGE_HEADER || lower > upper || upper > c->page_bytes ||
	    lower % 2 != 0)
		return bad(c, v->pgno, "has impossible bounds");
	if (lower == PAGE_HEADER)
		return bad(c, v->pgno, "is empty");
	for (size_t i = PAGE_HEADER; i < lower; i += 2) {
		size_t at = num(c->page + i, 2);

		if (at < upper || at >= c->page_bytes || at % 2 != 0)
			return bad(c, v->pgno, "a node outside");
		if (!check_node(c, v, at, &size))
			return false;
		if (c->sizes[at / 2] != 0)
			return bad(c, v->pgno, "a node that is there twice");
		c->sizes[at / 2] = (uint32_t)size;
	}
	return check_tiling(c, v, upper);
}

/* A run of pages; the free list may have one, too. */
static bool check_run(struct check *c, const struct visit *v)
{
	uint64_t pages = num(c->page + 12, 4);
	unsigned char *data;
	bool ok;

	if (num(c->page + 10, 2) != P_OVERFLOW)
		return bad(c, v->pgno, "is of another kind than expected");
	if (pages == 0 || pages - 1 > c->last - v->pgno ||
	    v->bytes > pages * c->page_bytes - PAGE_HEADER)
		return bad(c, v->pgno, "a run of impossible length");
	if ((v->pgno + pages) * c->page_bytes > c->file_bytes)
		return bad(c, v->pgno, "the file is cut off");
	for (uint64_t p = v->pgno + 1; p < v->pgno + pages; p++)
		if (!claim(c, p, "is used twice"))
			return false;
	if (v->tree != TREE_FREE)
		return true;
	data = mx_realloc(NULL, (size_t)v->bytes);
	ok = read_at(c, v->pgno * c->page_bytes + PAGE_HEADER, data,
		     (size_t)v->bytes)
		     ? check_free_list(c, v->pgno, data, (size_t)v->bytes)
		     : bad(c, v->pgno, "cannot be read");
	free(data);
	return ok;
}

static bool check_page(struct check *c, const struct visit *v)
{
	size_t n = v->depth > 0 ? c->page_bytes : PAGE_HEADER;

	if ((v->pgno + 1) * c->page_bytes > c->file_bytes)
		return bad(c, v->pgno, "the file is cut off");
	if (!read_at(c, v->pgno * c->page_bytes, c->page, n))
		return bad(c, v->pgno, "cannot be read");
	if (num(c->page, 8) != v->pgno)
		return bad(c, v->pgno, "says it is another");
	return v->depth > 0 ? check_tree_page(c, v) : check_run(c, v);
}

static bool walk(struct check *c, int64_t until_ms)
{
	enum { VISITS_LEAST = 512 }; /* the clock of a busy machine runs out */

	while (c->head < c->count) {
		struct visit v = c->queue[c->head++];

		if (!check_page(c, &v))
			return false;
		if (c->head >= VISITS_LEAST && c->head % 64 == 0 &&
		    clock_mono_ms() > until_ms)
			break;
	}
	return true;
}

/* The header of one meta page; the rest of it counts only in the newer. */
static bool check_meta_head(struct check *c, const unsigned char *m,
			    uint64_t pgno)
{
	uint64_t page_bytes = num(m + META_FREE, 4);

	if (!(num(m + 10, 2) & P_META) || num(m + META_AT, 4) != META_MAGIC)
		return bad(c, pgno, "not a spool");
	if (num(m + META_AT + 4, 4) != 1)
		return bad(c, pgno, "of an unknown version of LMDB");
	if (page_bytes < PAGE_LEAST || page_bytes > PAGE_MOST ||
	    (page_bytes & (page_bytes - 1)) != 0)
		return bad(c, pgno, "an impossible page size");
	return true;
}

static bool check_metas(struct check *c, unsigned char *meta)
{
	unsigned char other[META_END];

	if (!read_at(c, 0, meta, META_END))
		return bad(c, 0, "the file is cut off");
	if (!check_meta_head(c, meta, 0))
		return false;
	c->page_bytes = (size_t)num(meta + META_FREE, 4);
	if (c->file_bytes < 2 * c->page_bytes ||
	    !read_at(c, c->page_bytes, other, META_END))
		return bad(c, 1, "the file is cut off");
	if (!check_meta_head(c, other, 1))
		return false;
	if (num(other + META_FREE, 4) != c->page_bytes)
		return bad(c, 1, "an impossible page size");
	if (num(other + META_TXN, 8) > num(meta + META_TXN, 8))
		memcpy(meta, other, META_END);
	return true;
}

/*
 * The file may end before the last page: pages that were taken and given back
 * within one transaction are never written.  But not by much.
 */
static bool check_bounds(struct check *c, const unsigned char *meta)
{
	enum { UNWRITTEN_MOST = 1 << 20 };

	c->last = num(meta + META_LAST, 8);
	if (c->last < 1 || c->last >= UINT64_MAX / PAGE_MOST ||
	    c->last > c->file_bytes / c->page_bytes + UNWRITTEN_MOST)
		return bad(c, 0, "the file is cut off");
	return true;
}

static bool check_all(struct check *c, int64_t budget_ms)
{
	unsigned char meta[META_END];

	if (!check_metas(c, meta) || !check_bounds(c, meta))
		return false;
	c->page = mx_realloc(NULL, c->page_bytes);
	c->sizes = mx_alloc_array(c->page_bytes / 2, sizeof(*c->sizes));
	c->seen = mx_alloc((size_t)(c->last / 8 + 1));
	if (!push_root(c, meta + META_FREE, TREE_FREE, 0) ||
	    !push_root(c, meta + META_MAIN, TREE_MAIN, 0))
		return false;
	return walk(c, clock_mono_ms() + budget_ms);
}

/* Changes with each commit; 0: not to be told. */
static uint64_t last_commit(int fd)
{
	unsigned char meta[META_END];
	struct check c = { .fd = fd, .file_bytes = UINT64_MAX };

	return check_metas(&c, meta) ? num(meta + META_TXN, 8) : 0;
}

enum mx_err check_file(int fd, int64_t budget_ms, struct buf *why)
{
	struct check c = { .fd = fd, .why = why };
	struct stat st;
	bool ok;

	if (fstat(fd, &st) != 0)
		return mx_from_errno(errno);
	c.file_bytes = (uint64_t)st.st_size;
	if (c.file_bytes == 0)
		return MX_OK;
	ok = check_all(&c, budget_ms);
	free(c.page);
	free(c.sizes);
	free(c.seen);
	free(c.queue);
	return ok ? MX_OK : MX_ECORRUPT;
}

enum mx_err check_moving_file(int fd, int64_t budget_ms, struct buf *why)
{
	enum { TRIES = 8 };
	struct buf found = { 0 };
	enum mx_err err = MX_OK;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = last_commit(fd);

		buf_reset(&found);
		err = check_file(fd, budget_ms, &found);
		if (err != MX_ECORRUPT || last_commit(fd) == before)
			break;
		err = MX_OK;
	}
	if (err != MX_OK && why != NULL)
		buf_add(why, buf_span(&found));
	buf_fini(&found);
	return err;
}

/*
 * powercut: what a power cut could have left of a spool.
 *
 *   powercut LOG DIRECTORY IMAGES SEED
 *
 * Reads the events that powershim wrote, chooses that many instants, and for
 * each builds DIRECTORY/data.mdb as the disk may hold it then: what a flush
 * covered is there; of what no flush covered every 512 bytes may be there or
 * not (all, none, whole writes, single sectors, or in order up to a torn
 * one), and so may the file's growth.
 *
 * Then it looks at the image as mx20ctl would: the spool must open, its rows
 * and counters must agree, and it must be exactly, row for row, what the last
 * commit left whose meta page was flushed before the instant, or what the one
 * behind it left, if its meta page was written but not flushed yet (a commit of
 * content alone leaves that to the next one).  So nothing durable is lost, and
 * nothing that was durably removed comes back.
 *
 * One JSON line per image; then it waits for a line on standard input, so that
 * whoever started it can let mx20d loose on the image.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/spool/spool_priv.h"
#include "common/spool/look.h"
#include "tests/preload/powershim.h"
#include "tests/support/spool_audit.h"

enum { SECTOR = 512, PAGE = 4096 };

struct event {
	enum powershim_kind kind;
	uint64_t at, bytes;
	const char *data;
	size_t durable_from; /* writes: the event that made them durable */
};

/* A file in memory. */
struct image {
	char *p;
	size_t n, cap;
};

enum mode { NOTHING, ALL, WRITES, SECTORS, IN_ORDER, MODES };
static const char *const mode_names[] = { "nothing", "all", "writes", "sectors",
					  "in order" };

static struct event *events;
static size_t count;
static uint64_t seed;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* splitmix64 */
static uint64_t rnd(uint64_t below)
{
	uint64_t z = (seed += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	z ^= z >> 31;
	return below > 0 ? z % below : z;
}

/* ---- the log ---- */

static char *read_file(const char *path, size_t *n)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	char *p;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	*n = (size_t)st.st_size;
	p = mx_realloc(NULL, *n + 1);
	for (size_t at = 0; at < *n;) {
		ssize_t got = read(fd, p + at, *n - at);

		if (got <= 0)
			die(path);
		at += (size_t)got;
	}
	close(fd);
	return p;
}

/* A log that ends within an event (the process was killed) ends before it. */
static void parse(const char *p, size_t n)
{
	struct powershim_event e;
	size_t cap = 0;

	while (n >= sizeof(e)) {
		memcpy(&e, p, sizeof(e));
		if (n - sizeof(e) < e.bytes)
			break;
		if (count == cap) {
			cap = cap > 0 ? 2 * cap : 4096;
			events = mx_realloc(events, cap * sizeof(*events));
		}
		events[count++] = (struct event){
			.kind = (enum powershim_kind)e.kind,
			.at = e.at,
			.bytes = e.bytes,
			.data = p + sizeof(e),
			.durable_from = SIZE_MAX,
		};
		p += sizeof(e) + e.bytes;
		n -= sizeof(e) + (size_t)e.bytes;
	}
}

/* When did each write become durable? */
static void find_flushes(void)
{
	for (size_t i = 0; i < count; i++) {
		size_t flush = SIZE_MAX;

		if (events[i].kind != POWER_WRITE &&
		    events[i].kind != POWER_TRUNCATE)
			continue;
		if (i + 1 < count && events[i + 1].kind == POWER_WRITE_SYNCED) {
			events[i].durable_from = i + 1;
			continue;
		}
		for (size_t k = i + 1; k < count; k++) {
			if (events[k].kind == POWER_FLUSH)
				flush = k;
			if (events[k].kind == POWER_FLUSHED &&
			    flush != SIZE_MAX) {
				events[i].durable_from = k;
				break;
			}
		}
	}
}

/* ---- images ---- */

static void grow(struct image *m, size_t n)
{
	if (n > m->cap) {
		m->cap = n * 2;
		m->p = mx_realloc(m->p, m->cap);
	}
	if (n > m->n) {
		memset(m->p + m->n, 0, n - m->n);
		m->n = n;
	}
}

static void apply(struct image *m, const struct event *e)
{
	switch (e->kind) {
	case POWER_FIRST:
		m->n = 0;
		grow(m, e->bytes);
		memcpy(m->p, e->data, e->bytes);
		break;
	case POWER_WRITE:
		grow(m, e->at + e->bytes);
		memcpy(m->p + e->at, e->data, e->bytes);
		break;
	case POWER_TRUNCATE:
		grow(m, e->at);
		m->n = e->at;
		break;
	case POWER_WRITE_SYNCED:
	case POWER_FLUSH:
	case POWER_FLUSHED:
		break;
	}
}

/* Single sectors of a write, each with this chance in 256. */
static void apply_sectors(struct image *m, const struct event *e,
			  uint64_t chance)
{
	uint64_t end = e->at + e->bytes, at = e->at;

	while (at < end) {
		uint64_t next = (at / SECTOR + 1) * SECTOR;

		if (next > end)
			next = end;
		if (rnd(256) < chance) {
			grow(m, next);
			memcpy(m->p + at, e->data + (at - e->at), next - at);
		}
		at = next;
	}
}

/* The file's growth may be there without what was written into it. */
static void apply_growth(struct image *m, const struct event *e)
{
	if (e->kind == POWER_WRITE && rnd(2) == 0)
		grow(m, e->at + e->bytes);
}

/* What became of unsynced write number i; the torn one counts in order. */
static void apply_one(struct image *m, const struct event *e, enum mode mode,
		      size_t i, size_t torn, uint64_t chance)
{
	bool is_whole = e->kind == POWER_TRUNCATE || mode == ALL ||
			(mode == IN_ORDER && i < torn) ||
			(mode == WRITES && rnd(256) < chance);

	if (is_whole) {
		apply(m, e);
	} else if (mode == SECTORS) {
		apply_growth(m, e);
		apply_sectors(m, e, chance);
	} else if (mode == WRITES) {
		apply_growth(m, e);
	} else if (mode == IN_ORDER && i == torn) {
		apply_sectors(m, e, 128);
	}
}

/* Of the writes before cut those that no flush covers at the instant. */
static void apply_unsynced(struct image *m, size_t cut, enum mode mode)
{
	uint64_t chance = rnd(257);
	size_t torn = cut;

	/* most instants have but a few: let the torn one be among them */
	for (size_t i = cut; i > 0 && mode == IN_ORDER; i--)
		if (events[i - 1].durable_from < cut) {
			torn = i + rnd(cut - i + 1);
			break;
		}
	for (size_t i = 0; i < cut; i++) {
		const struct event *e = &events[i];

		if (e->durable_from < cut ||
		    (e->kind != POWER_WRITE && e->kind != POWER_TRUNCATE))
			continue;
		apply_one(m, e, mode, i, torn, chance);
	}
}

static void write_image(const char *dir, const struct image *m)
{
	char path[4096], junk[8192];
	int fd;

	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	for (size_t at = 0; fd >= 0 && at < m->n;) {
		ssize_t n = write(fd, m->p + at, m->n - at);

		if (n <= 0)
			die(path);
		at += (size_t)n;
	}
	if (fd < 0 || close(fd) != 0)
		die(path);
	/* the lock file was never flushed: it holds anything */
	snprintf(path, sizeof(path), "%s/lock.mdb", dir);
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (char)rnd(256);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, junk, rnd(2) * sizeof(junk)) < 0)
		die(path);
	close(fd);
}

/* ---- what an image says ---- */

static uint64_t hash(uint64_t h, struct span s)
{
	h ^= s.n;
	for (; s.n >= 8; s.p += 8, s.n -= 8) {
		uint64_t v;

		memcpy(&v, s.p, 8);
		h = (h ^ v) * 0x9fb21c651e98df25;
		h ^= h >> 32;
	}
	for (; s.n > 0; s.p++, s.n--)
		h = (h ^ (unsigned char)*s.p) * 0x9fb21c651e98df25;
	return h ^ (h >> 29);
}

/* Every row of every table. */
static enum mx_err digest(struct spool *sp, uint64_t *h)
{
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	*h = 1;
	for (size_t t = 0; err == MX_OK && t < T_COUNT; t++) {
		struct scan p;

		err = scan_open(&p, &sp->tables[t], txn);
		if (err == MX_OK)
			err = scan_seek(&p, NULL);
		for (; err == MX_OK; err = scan_next(&p))
			*h = hash(hash(*h + t, p.key), p.value);
		scan_close(&p);
		if (err == MX_ENOENT)
			err = MX_OK;
	}
	read_end(sp);
	return err;
}

/* Open the image, compare everything with everything; its digest. */
static bool look(const char *dir, uint64_t *h, uint64_t *messages,
		 struct buf *why)
{
	struct spool_totals totals = { 0 };
	struct spool *sp;
	bool ok;

	if (spool_open_reader(&sp, dir, why) != MX_OK)
		return false;
	ok = spool_audit(sp, why);
	if (ok &&
	    (digest(sp, h) != MX_OK || spool_totals(sp, &totals) != MX_OK)) {
		buf_adds(why, "cannot be read");
		ok = false;
	}
	*messages = totals.messages;
	spool_close(&sp);
	return ok;
}

/* The digest of a file that nothing has happened to. */
static uint64_t truth(const char *dir, const struct image *m)
{
	struct buf why = { 0 };
	uint64_t h, messages;

	write_image(dir, m);
	if (!look(dir, &h, &messages, &why)) {
		fprintf(stderr, "powercut: no power cut, and yet: %s\n",
			buf_cstr(&why));
		exit(1);
	}
	return h;
}

/* ---- one instant after the other ---- */

/* The write of a meta page, which decides a commit: LMDB writes less than the
 * page, and all others whole. */
static bool ends_commit(size_t i)
{
	return events[i].kind == POWER_WRITE && events[i].at < 2 * PAGE &&
	       events[i].bytes < PAGE;
}

/* What was kept of everything before event upto, as if there were no cuts. */
struct kept {
	struct image image;
	size_t upto;
};
static struct kept durable, written;

/* i never falls from one call to the next. */
static const struct image *kept_before(struct kept *k, size_t i)
{
	for (; k->upto < i; k->upto++)
		apply(&k->image, &events[k->upto]);
	return &k->image;
}

/* What was durable of everything before event i. */
static void make_durable(struct image *m, size_t i)
{
	m->n = 0;
	for (size_t k = 0; k < i; k++)
		if (events[k].kind == POWER_FIRST || events[k].durable_from < i)
			apply(m, &events[k]);
}

static void cut_at(const char *dir, size_t number, size_t cut, enum mode mode)
{
	static struct image m;
	struct buf why = { 0 };
	uint64_t before, after = 0, h = 0, messages = 0;
	size_t last = 0, next = 0; /* behind these commits */
	bool is_in_commit, ok;

	for (size_t i = 0; i < cut; i++)
		if (ends_commit(i) && events[i].durable_from < cut)
			last = next = i + 1;
		else if (ends_commit(i))
			next = i + 1;
	before = truth(dir, kept_before(&durable, last > 0 ? last : 1));
	/* the meta page is not flushed: both outcomes are right */
	is_in_commit = next > last;
	if (is_in_commit)
		after = truth(dir, kept_before(&written, next));
	make_durable(&m, cut);
	apply_unsynced(&m, cut, mode);
	write_image(dir, &m);
	ok = look(dir, &h, &messages, &why);
	if (ok && h != before && !(is_in_commit && h == after)) {
		buf_adds(&why, "is another state than the last commit's");
		ok = false;
	}
	printf("{\"image\": %zu, \"instant\": %zu, \"of\": %zu, "
	       "\"mode\": \"%s\", \"messages\": %llu, \"in_commit\": %s, "
	       "\"bytes\": %zu, \"ok\": %s, \"why\": \"%s\"}\n",
	       number, cut, count, mode_names[mode],
	       (unsigned long long)messages, is_in_commit ? "true" : "false",
	       m.n, ok ? "true" : "false", buf_cstr(&why));
	fflush(stdout);
	buf_fini(&why);
}

static int by_size(const void *pa, const void *pb)
{
	size_t a = *(const size_t *)pa, b = *(const size_t *)pb;

	return a == b ? 0 : a < b ? -1 : 1;
}

/* Instants: most anywhere, a quarter at the write of a meta page, where a
 * commit is decided. */
static size_t *choose(size_t n)
{
	size_t *cuts = mx_alloc_array(n, sizeof(*cuts));

	for (size_t i = 0; i < n; i++) {
		cuts[i] = 2 + rnd(count - 2);
		if (i % 4 == 0)
			while (cuts[i] + 1 < count && !ends_commit(cuts[i] - 1))
				cuts[i]++;
	}
	qsort(cuts, n, sizeof(*cuts), by_size);
	for (size_t i = 1; i < n; i++) /* no instant twice */
		if (cuts[i] <= cuts[i - 1])
			cuts[i] = cuts[i - 1] + 1;
	return cuts;
}

int main(int argc, char **argv)
{
	size_t n, images, *cuts;
	char line[16];
	char *log;

	if (argc != 5) {
		fprintf(stderr, "powercut LOG DIRECTORY IMAGES SEED\n");
		return 2;
	}
	images = strtoul(argv[3], NULL, 10);
	seed = strtoul(argv[4], NULL, 10);
	log = read_file(argv[1], &n);
	parse(log, n);
	if (count < 10 || events[0].kind != POWER_FIRST)
		die("not a log of powershim");
	find_flushes();
	cuts = choose(images);
	for (size_t i = 0; i < images && cuts[i] <= count; i++) {
		cut_at(argv[2], i, cuts[i], (enum mode)(i % MODES));
		if (fgets(line, sizeof(line), stdin) == NULL)
			break;
	}
	free(cuts);
	free(events);
	free(log);
	free(durable.image.p);
	free(written.image.p);
	return 0;
}

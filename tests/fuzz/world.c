/* A small sound spool to damage, and all that is then done with it. */
#include "tests/fuzz/world.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/log.h"
#include "common/spool/spool.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz.h"

#define NOW ((int64_t)1790000000000)
enum { UNITS_MAX = 16 };

static struct buf pristine; /* data.mdb as it should be */
static struct ev_loop *loop;
static struct buf data_path;

static struct spool *open_daemon(void)
{
	struct spool_options opt = { .path = fuzz_directory(),
				     .size_bytes = 1 << 28 };
	struct spool *sp = NULL;
	struct buf why = { 0 };

	if (spool_open(&sp, loop, &opt, &why) != MX_OK)
		FUZZ_CHECK(why.n > 0 && sp == NULL);
	buf_fini(&why);
	return sp;
}

/* ---- The sound spool ---- */

static void add_message(struct spool *sp, size_t bytes, const char *domain,
			const char *other)
{
	struct spool_rcpt rcpts[] = {
		{ span_str("a"), span_str(domain), span_str("rfc822;x"), 3,
		  NOW + 1000, NOW + 500, SPOOL_CLAIM_SHARE, 0 },
		{ span_str("b"), span_str(other), span_str(""), 0, NOW + 2000,
		  0, SPOOL_CLAIM_FLOW, 0 },
	};
	struct envelope env = { .arrived_ms = NOW,
				.from = SPAN_LIT("s@x.example"),
				.helo = SPAN_LIT("x.example"),
				.proto = PROTO_ESMTP };
	struct spool_draft *d;
	struct buf content = { 0 };

	memset(buf_reserve(&content, bytes), 'c', bytes);
	content.n = bytes;
	/* a damaged spool may think it is full; the sound one must not */
	if (spool_draft_new(sp, NOW, bytes, &d) == MX_OK) {
		spool_draft_write(d, buf_span(&content));
		spool_commit(&d, &env, rcpts, COUNT(rcpts), NULL, NULL);
	}
	buf_fini(&content);
}

static void read_pristine(void)
{
	int fd = open(buf_cstr(&data_path), O_RDONLY);
	ssize_t n;

	FUZZ_CHECK(fd >= 0);
	while ((n = read(fd, buf_reserve(&pristine, 1 << 16), 1 << 16)) > 0)
		pristine.n += (size_t)n;
	close(fd);
}

static void make_pristine(void)
{
	struct spool_target target = { .name = "mx[192.0.2.1]:25" };
	struct spool *sp;

	loop = ev_loop_new(0);
	log_set_level(LOG_LEVEL_ERROR);
	buf_addf(&data_path, "%s/data.mdb", fuzz_directory());
	sp = open_daemon();
	FUZZ_CHECK(sp != NULL);
	add_message(sp, 100, "a.example", "b.example");
	add_message(sp, 5000, "a.example", "a.example");
	add_message(sp, 70000, "b.example", "c.example");
	spool_target_put(sp, &target);
	spool_fact_put(sp, SPAN_LIT("sts:a"), SPAN_LIT("value"));
	spool_hold(sp,
		   (struct spool_selection){ .domain = SPAN_LIT("c.exampl"
								"e") },
		   SPAN_LIT("reason"), NULL, NULL);
	spool_close(&sp);
	read_pristine();
}

void world_restore(void)
{
	int fd;

	if (pristine.n == 0)
		make_pristine();
	fd = open(buf_cstr(&data_path), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(write(fd, pristine.p, pristine.n) == (ssize_t)pristine.n);
	close(fd);
}

const char *world_data_path(void)
{
	return buf_cstr(&data_path);
}

size_t world_data_bytes(void)
{
	return pristine.n;
}

/* ---- Reading ---- */

struct seen {
	struct spool *sp;
	size_t units;
	uint64_t ids[UNITS_MAX];
	char domains[UNITS_MAX][256];
};

static bool on_unit(const struct unit *u, void *arg)
{
	struct seen *seen = arg;
	size_t i = seen->units;

	for (size_t k = 0; k < u->rcpt_count; k++)
		FUZZ_CHECK(u->rcpts[k].path.n <= 0xffff);
	FUZZ_CHECK(u->domain.n < sizeof(seen->domains[0]));
	if (i == UNITS_MAX)
		return false;
	seen->ids[i] = u->envelope.id;
	memcpy(seen->domains[i], u->domain.p, u->domain.n);
	seen->domains[i][u->domain.n] = '\0';
	seen->units++;
	return true;
}

static bool on_domain(const struct spool_domain *row, void *arg)
{
	struct seen *seen = arg;
	struct spool_domain again;

	FUZZ_CHECK(memchr(row->name, '\0', sizeof(row->name)) != NULL);
	spool_domain_get(seen->sp, span_str(row->name), &again);
	return true;
}

static bool on_target(const struct spool_target *t, void *arg)
{
	(void)arg;
	FUZZ_CHECK(memchr(t->name, '\0', sizeof(t->name)) != NULL);
	return true;
}

static void read_content(struct spool *sp, uint64_t id)
{
	struct buf piece = { 0 };
	uint64_t offset = 0;

	for (int i = 0; i < 64; i++) {
		buf_reset(&piece);
		if (spool_content(sp, id, offset, 4096, &piece) != MX_OK ||
		    piece.n == 0)
			break;
		FUZZ_CHECK(piece.n <= 4096);
		offset += piece.n;
	}
	buf_fini(&piece);
}

static void read_all(struct spool *sp, struct seen *seen)
{
	struct spool_totals totals;
	struct buf fact = { 0 };

	*seen = (struct seen){ .sp = sp };
	spool_totals(sp, &totals);
	spool_domains(sp, SPAN_LIT(""), on_domain, seen);
	spool_targets(sp, on_target, NULL);
	spool_fact_get(sp, SPAN_LIT("sts:a"), &fact);
	spool_list(sp, SPAN_LIT(""), 0, on_unit, seen);
	for (size_t i = 0; i < seen->units; i++) {
		struct seen other = { .sp = sp };

		spool_list(sp, span_str(seen->domains[i]), 0, on_unit, &other);
		spool_message(sp, seen->ids[i], on_unit, &other);
		read_content(sp, seen->ids[i]);
	}
	buf_fini(&fact);
}

/* ---- Working ---- */

static size_t asked, answered;

static void on_done(enum mx_err err, void *arg)
{
	(void)err;
	(void)arg;
	answered++;
}

static void on_count(enum mx_err err, uint64_t units, void *arg)
{
	(void)err;
	(void)units;
	(void)arg;
	answered++;
}

static void settle_unit(struct spool *sp, uint64_t id, struct span domain,
			enum outcome outcome)
{
	struct settlement set[UNITS_MAX];
	struct unit *u = NULL;

	if (spool_unit_load(sp, id, domain, &u) != MX_OK)
		return;
	if (u->rcpt_count > 0 && u->rcpt_count <= UNITS_MAX) {
		for (size_t i = 0; i < u->rcpt_count; i++)
			set[i] = (struct settlement){
				.number = u->rcpts[i].number,
				.outcome = outcome,
				.reply = SPAN_LIT("450 4.2.1 x"),
				.host = SPAN_LIT("mx"),
			};
		spool_settle(sp, id, domain, set, u->rcpt_count, NOW, NOW + 1,
			     NULL, on_done, NULL);
		asked++;
	}
	unit_free(&u);
}

static void work(struct spool *sp, const struct seen *seen)
{
	struct spool_expiry expired[UNITS_MAX];
	uint64_t ids[UNITS_MAX];
	int64_t when;
	size_t n, ready;

	spool_next_due(sp, &when);
	spool_next_expiry(sp, &when);
	spool_requeue_due(sp, NOW + 1);
	spool_expired(sp, NOW + 5000, NULL, expired, UNITS_MAX, &n);
	for (size_t i = 0; i < n; i++, asked++)
		spool_warned(sp, expired[i].id, span_str(expired[i].domain),
			     NULL, on_done, NULL);
	for (size_t i = 0; i < seen->units; i++) {
		struct span domain = span_str(seen->domains[i]);

		spool_ready(sp, domain, 0, ids, UNITS_MAX, &ready);
		spool_ready_newest(sp, domain, 0, ids, UNITS_MAX, &ready);
		settle_unit(sp, seen->ids[i], domain,
			    i % 2 ? OUTCOME_TRANSIENT : OUTCOME_DELIVERED);
	}
}

static void operate(struct spool *sp, const struct seen *seen)
{
	for (size_t i = 0; i < seen->units; i++) {
		struct spool_selection domain = {
			.domain = span_str(seen->domains[i]),
		};
		struct spool_selection message = { .id = seen->ids[i] };

		spool_hold(sp, domain, SPAN_LIT("why"), on_count, NULL);
		spool_release(sp, domain, on_count, NULL);
		spool_flush(sp, domain, on_count, NULL);
		spool_hold(sp, message, SPAN_LIT("why"), on_count, NULL);
		spool_release(sp, message, on_count, NULL);
		spool_remove(sp, i % 2 ? domain : message, on_count, NULL);
		asked += 6;
	}
}

void world_run_daemon(void)
{
	struct spool *sp = open_daemon();
	struct seen seen;

	if (sp == NULL)
		return;
	asked = answered = 0;
	read_all(sp, &seen);
	work(sp, &seen);
	while (answered < asked)
		ev_run(loop, EVRUN_ONCE);
	read_all(sp, &seen);
	operate(sp, &seen);
	add_message(sp, 300, "a.example", "d.example");
	spool_close(&sp);
	FUZZ_CHECK(answered == asked);
}

void world_run_reader(bool sound)
{
	struct spool *sp = NULL;
	struct buf why = { 0 };
	struct seen seen;

	if (spool_open_reader(&sp, fuzz_directory(), &why) == MX_OK)
		read_all(sp, &seen);
	else
		FUZZ_CHECK(why.n > 0);
	FUZZ_CHECK(!sound || (sp != NULL && seen.units == 5));
	spool_close(&sp);
	buf_fini(&why);
}

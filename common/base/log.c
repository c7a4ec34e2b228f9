#include "common/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/base/msgid.h"
#include "common/base/say.h"
#include "common/base/utf8.h"

enum { QUEUE_BYTES = 1 << 20 };

/* What is said within this time of a line goes out with it in one write: a
 * busy daemon does not wake the thread for each line. */
enum { GATHER_US = 3000 };

/* Standard error that nobody reads must not keep us: at the end the thread has
 * so long for each piece. */
enum { LEAVE_MS = 2000, WRITE_BYTES = 64 << 10 };

#define EVENT_NAME(id, name, help) [EV_##id] = name,
static const char *const event_names[] = { LOG_EVENTS(EVENT_NAME) };
#undef EVENT_NAME

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

/* sd-daemon(3): what journald takes for a line's priority */
static const int priorities[] = {
	[LOG_LEVEL_ERROR] = 3,
	[LOG_LEVEL_WARN] = 4,
	[LOG_LEVEL_INFO] = 6,
	[LOG_LEVEL_DEBUG] = 7,
};

static struct {
	_Atomic(enum log_level) level;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stopping, idle, journal;
	struct buf queue;
	uint64_t dropped;
	atomic_uint progress; /* rises with each piece that is out */
} logger = {
	.level = LOG_LEVEL_INFO,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.wake = PTHREAD_COND_INITIALIZER,
};

static bool needs_quotes(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
			return true;
	}
	return s.n == 0;
}

/* U+0080 to U+009F: a terminal may take them for escape sequences, too. */
static bool is_c1(struct span s)
{
	return (unsigned char)s.p[0] == 0xc2 && (unsigned char)s.p[1] < 0xa0;
}

static void add_bytes(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_addf(b, "\\x%02x", (unsigned char)s.p[i]);
}

/* Control bytes never reach a terminal or a log parser as they came, nor
 * what turns the direction of reading, nor what is not UTF-8. */
static void add_escaped(struct buf *b, struct span s)
{
	while (s.n > 0) {
		unsigned char c = (unsigned char)s.p[0];
		size_t n = utf8_char(s);

		if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else if (c == '\n')
			buf_adds(b, "\\n");
		else if (c < ' ' || c == 0x7f || n == 0)
			buf_addf(b, "\\x%02x", c);
		else if ((n == 2 && is_c1(s)) || utf8_bidi(s, n) != 0)
			add_bytes(b, span_of(s.p, n));
		else
			buf_add(b, (struct span){ s.p, n });
		s = span_skip(s, n > 0 ? n : 1);
	}
}

static void add_text(struct buf *b, struct span s, const char *open,
		     const char *close)
{
	bool quote = needs_quotes(s) && (s.n > 0 || *open == '\0');

	if (quote)
		buf_addc(b, '"');
	buf_adds(b, open);
	if (quote)
		add_escaped(b, s);
	else
		buf_add(b, s);
	buf_adds(b, close);
	if (quote)
		buf_addc(b, '"');
}

static void add_int(struct buf *b, int64_t v)
{
	if (v < 0)
		buf_addc(b, '-');
	buf_addu(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void add_hex(struct buf *b, uint64_t v)
{
	char text[16];
	size_t at = sizeof(text);

	do
		text[--at] = "0123456789abcdef"[v & 15];
	while ((v >>= 4) > 0);
	buf_add(b, span_of(text + at, sizeof(text) - at));
}

static void add_field(struct buf *b, const struct log_field *f)
{
	if (!log_field_is_said(f))
		return;
	buf_addc(b, ' ');
	buf_adds(b, f->key);
	buf_addc(b, '=');
	switch (f->kind) {
	case LOG_KIND_SPAN:
		add_text(b, f->text, "", "");
		break;
	case LOG_KIND_PATH:
		add_text(b, f->text, "<", ">");
		break;
	case LOG_KIND_INT:
		add_int(b, f->number);
		break;
	case LOG_KIND_HEX:
		add_hex(b, (uint64_t)f->number);
		break;
	case LOG_KIND_ID:
		msg_id_add(b, (uint64_t)f->number);
		break;
	case LOG_KIND_END:
		break;
	}
}

static void add_line(struct buf *b, enum log_level level, enum log_event event,
		     const struct log_field *fields)
{
	if (logger.journal)
		buf_addf(b, "<%d>", priorities[level]);
	buf_adds(b, event_names[event]);
	if (level != LOG_LEVEL_INFO) {
		buf_adds(b, " level=");
		buf_adds(b, level_names[level]);
	}
	for (const struct log_field *f = fields; f->kind != LOG_KIND_END; f++)
		add_field(b, f);
	buf_addc(b, '\n');
}

/* The thread: as long as it takes. */
static void write_all(struct span s)
{
	while (s.n > 0 && say_some(&s, WRITE_BYTES))
		atomic_fetch_add(&logger.progress, 1);
}

void log_fields(enum log_level level, enum log_event event,
		const struct log_field *fields)
{
	bool wake = false;

	metrics_event(event, fields);
	if (!log_enabled(level))
		return;
	pthread_mutex_lock(&logger.lock);
	if (logger.queue.n >= QUEUE_BYTES)
		logger.dropped++;
	else
		add_line(&logger.queue, level, event, fields);
	if (!logger.running) {
		say_now(buf_span(&logger.queue));
		buf_reset(&logger.queue);
	} else {
		wake = logger.idle;
		logger.idle = false;
	}
	pthread_mutex_unlock(&logger.lock);
	if (wake) /* without the lock: it would wake only to wait for that */
		pthread_cond_signal(&logger.wake);
}

static void note_dropped(void)
{
	if (logger.dropped == 0)
		return;
	add_line(&logger.queue, LOG_LEVEL_WARN, EV_LOG,
		 (const struct log_field[]){ LOG_INT("dropped", logger.dropped),
					     { .kind = LOG_KIND_END } });
	logger.dropped = 0;
}

/* Called with the lock, which it gives up for a moment. */
static void gather(void)
{
	if (logger.stopping)
		return;
	pthread_mutex_unlock(&logger.lock);
	usleep(GATHER_US);
	pthread_mutex_lock(&logger.lock);
}

static void *log_thread(void *arg)
{
	struct buf out = { 0 };

	(void)arg;
	pthread_mutex_lock(&logger.lock);
	for (;;) {
		while (logger.queue.n == 0 && !logger.stopping) {
			logger.idle = true;
			pthread_cond_wait(&logger.wake, &logger.lock);
		}
		logger.idle = false;
		if (logger.queue.n == 0)
			break;
		gather();
		note_dropped();
		struct buf full = logger.queue;

		logger.queue = out;
		pthread_mutex_unlock(&logger.lock);
		write_all(buf_span(&full));
		buf_reset(&full);
		out = full;
		pthread_mutex_lock(&logger.lock);
	}
	pthread_mutex_unlock(&logger.lock);
	buf_fini(&out);
	return NULL;
}

bool log_enabled(enum log_level level)
{
	return level <=
	       atomic_load_explicit(&logger.level, memory_order_relaxed);
}

bool log_is_congested(void)
{
	bool is_congested;

	pthread_mutex_lock(&logger.lock);
	is_congested = logger.queue.n >= QUEUE_BYTES / 4;
	pthread_mutex_unlock(&logger.lock);
	return is_congested;
}

void log_list_path(struct buf *list, size_t i, struct span path)
{
	if (i >= LOG_PATHS_MAX)
		return;
	buf_adds(list, i > 0 ? ",<" : "<");
	buf_add(list, path);
	buf_addc(list, '>');
}

void log_set_level(enum log_level level)
{
	atomic_store(&logger.level, level);
}

bool log_level_parse(struct span name, enum log_level *out)
{
	for (size_t i = 0; i < COUNT(level_names); i++) {
		if (!span_eq(name, span_str(level_names[i])))
			continue;
		*out = (enum log_level)i;
		return true;
	}
	return false;
}

void log_start(void)
{
	MX_ASSERT(!logger.running);
	logger.stopping = false;
	logger.journal = getenv("JOURNAL_STREAM") != NULL;
	MX_ASSERT(pthread_create(&logger.thread, NULL, log_thread, NULL) == 0);
	pthread_mutex_lock(&logger.lock);
	logger.running = true;
	pthread_mutex_unlock(&logger.lock);
}

/* False: it stands in a write, and nothing comes of it. */
static bool join(void)
{
	unsigned before;
	int rc;

	do {
		struct timespec until;

		before = atomic_load(&logger.progress);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += LEAVE_MS / 1000;
		rc = pthread_clockjoin_np(logger.thread, NULL, CLOCK_MONOTONIC,
					  &until);
	} while (rc == ETIMEDOUT && atomic_load(&logger.progress) != before);
	return rc == 0;
}

void log_stop(void)
{
	bool has_left;

	if (!logger.running)
		return;
	pthread_mutex_lock(&logger.lock);
	logger.stopping = true;
	pthread_cond_signal(&logger.wake);
	pthread_mutex_unlock(&logger.lock);
	has_left = join();
	pthread_mutex_lock(&logger.lock);
	logger.running = !has_left; /* then nothing is said any more */
	if (has_left)
		buf_fini(&logger.queue);
	pthread_mutex_unlock(&logger.lock);
}

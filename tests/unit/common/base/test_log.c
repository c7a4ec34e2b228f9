/* Log lines: nothing a peer says can forge one. */
#include "common/base/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/buf.h"

/* Everything written to stderr between capture() and captured(). */
static int saved = -1;

static void capture(void)
{
	int fd = memfd_create("log", 0);

	saved = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

static struct buf captured(void)
{
	struct buf text = { 0 };
	ssize_t n;

	lseek(STDERR_FILENO, 0, SEEK_SET);
	while ((n = read(STDERR_FILENO, buf_reserve(&text, 65536), 65536)) > 0)
		text.n += (size_t)n;
	dup2(saved, STDERR_FILENO);
	close(saved);
	buf_cstr(&text);
	return text;
}

#define EXPECT_LINE(want, ...)                                                 \
	do {                                                                   \
		struct buf line_;                                              \
		capture();                                                     \
		log_info(EV_ACCEPTED, __VA_ARGS__);                            \
		line_ = captured();                                            \
		cr_expect_str_eq(line_.p, want);                               \
		buf_fini(&line_);                                              \
	} while (0)

Test(log, fields)
{
	EXPECT_LINE("accepted sid=5f0c mid=000000000000Z from=<a@x.example> "
		    "size=-7 tls=TLSv1.3\n",
		    LOG_HEX("sid", 0x5f0c), LOG_ID("mid", 31),
		    LOG_PATH("from", SPAN_LIT("a@x.example")),
		    LOG_INT("size", -7), LOG_STR("tls", "TLSv1.3"));
	EXPECT_LINE("accepted from=<>\n", LOG_PATH("from", SPAN_LIT("")),
		    LOG_STR("empty", ""));
}

Test(log, quotes)
{
	EXPECT_LINE("accepted r=\"250 2.0.0 ok\"\n",
		    LOG_STR("r", "250 2.0.0 ok"));
	EXPECT_LINE("accepted r=\"a=b\"\n", LOG_STR("r", "a=b"));
	EXPECT_LINE("accepted r=\"\\\"\\\\\"\n", LOG_STR("r", "\"\\"));
	EXPECT_LINE("accepted r=\"<\\\"a b\\\"@c>\"\n",
		    LOG_PATH("r", SPAN_LIT("\"a b\"@c")));
}

/* No second line, no escape sequence, no bytes that are not text. */
Test(log, control_bytes_are_escaped)
{
	EXPECT_LINE("accepted r=\"a\\x0d\\nb\"\n", LOG_STR("r", "a\r\nb"));
	EXPECT_LINE("accepted r=\"\\x1b[2J\\x7f\\x00\"\n",
		    LOG_SPAN("r", SPAN_LIT("\x1b[2J\x7f\0")));
	EXPECT_LINE("accepted r=\"\xc3\xa4\"\n", LOG_STR("r", "\xc3\xa4"));
	EXPECT_LINE("accepted r=\"\\xe4\\xc2\\x9b\"\n",
		    LOG_STR("r", "\xe4\xc2\x9b"));
	EXPECT_LINE("accepted r=\"a\\xe2\\x80\\xaeb\xe2\x82\xac\"\n",
		    LOG_STR("r", "a\u202eb\u20ac"));
}

Test(log, levels)
{
	enum log_level level = LOG_LEVEL_INFO;
	struct buf text;

	cr_expect(log_level_parse(SPAN_LIT("warn"), &level));
	cr_expect_eq(level, LOG_LEVEL_WARN);
	cr_expect_not(log_level_parse(SPAN_LIT("Warn"), &level));
	cr_expect_not(log_level_parse(SPAN_LIT(""), &level));
	cr_expect_eq(level, LOG_LEVEL_WARN);
	log_set_level(LOG_LEVEL_WARN);
	cr_expect(log_enabled(LOG_LEVEL_ERROR));
	cr_expect_not(log_enabled(LOG_LEVEL_INFO));
	capture();
	log_info(EV_ACCEPTED, LOG_INT("n", 1));
	log_warn(EV_SPOOL, LOG_INT("n", 2));
	log_error(EV_SPOOL, LOG_INT("n", 3));
	text = captured();
	cr_expect_str_eq(text.p, "spool level=warn n=2\n"
				 "spool level=error n=3\n");
	buf_fini(&text);
}

static void *write_lines(void *arg)
{
	for (int i = 0; i < 1000; i++)
		log_info(EV_PROBE, LOG_INT("thread", *(int *)arg),
			 LOG_INT("n", i));
	return NULL;
}

/* The writing thread: every line, whole, in the order of its thread. */
Test(log, thread_writes_all)
{
	pthread_t threads[4];
	int names[4], next[4] = { 0 };
	struct buf text;
	struct span rest;

	capture();
	log_start();
	for (int i = 0; i < 4; i++) {
		names[i] = i;
		pthread_create(&threads[i], NULL, write_lines, &names[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	log_stop();
	text = captured();
	rest = buf_span(&text);
	while (rest.n > 0) {
		struct span line = span_cut(&rest, '\n');
		int thread, n;

		cr_assert_eq(
			sscanf(line.p, "probe thread=%d n=%d\n", &thread, &n),
			2);
		cr_assert_eq(n, next[thread]++);
	}
	for (int i = 0; i < 4; i++)
		cr_expect_eq(next[i], 1000);
	buf_fini(&text);
}

/* ---- Standard error that nobody reads ---- */

static void block_stderr(void)
{
	static const char some[4096];
	int fds[2];

	cr_assert_eq(pipe2(fds, O_NONBLOCK), 0);
	while (write(fds[1], some, sizeof(some)) > 0)
		;
	fcntl(fds[1], F_SETFL, 0);
	dup2(fds[1], STDERR_FILENO);
}

/* How a process ends that is given ten seconds. */
static int end_of(void (*run)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		block_stderr();
		alarm(10);
		run();
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void stop_the_log(void)
{
	log_start();
	for (int i = 0; i < 10000; i++)
		log_info(EV_PROBE, LOG_INT("n", i));
	log_stop();
}

static void fail(void)
{
	mx_assert_fail("one thing", "file.c", 1);
}

static void say_before_the_start(void)
{
	log_error(EV_CONFIG, LOG_STR("error", "what is wrong"));
}

Test(log, nobody_reads_and_it_stops, .timeout = 60)
{
	cr_expect_eq(end_of(stop_the_log), 0);
}

Test(log, nobody_reads_and_it_starts, .timeout = 60)
{
	cr_expect_eq(end_of(say_before_the_start), 0);
}

Test(log, nobody_reads_the_last_words, .timeout = 60)
{
	int status = end_of(fail);

	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

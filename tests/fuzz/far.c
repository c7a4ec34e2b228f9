#include "tests/fuzz/far.h"

#include "common/base/assert.h"
#include "tests/fuzz/fakeconn.h"
#include "tests/fuzz/fuzz.h"

enum { SERIALS = 8192 };

struct far_mail far_mails[FAR_MAILS];

static struct {
	struct far_options opt;
	struct buf wire;  /* said, and not there yet */
	struct buf heard; /* less than a command */
	struct buf answers;
	size_t answered, serial_count;
	struct far_serial serials[SERIALS];
	/* the transaction that it is in */
	struct {
		int mail;
		bool has_mail, is_data;
		uint64_t chunk; /* of BDAT, to come */
		bool is_last;
		bool accepted[FAR_RCPTS];
		struct buf content;
	} tx;
} far;

static bool is_exact(void)
{
	return far.opt.mode == FAR_EXACT;
}

/* ---- What it says ---- */

static void add_reply(const char *text, int mail, int rcpt)
{
	if (far.serial_count == SERIALS)
		return; /* it takes content for commands */
	far.serials[far.serial_count] = (struct far_serial){ mail, rcpt };
	buf_addf(&far.wire, "%s #%zu\r\n", text, far.serial_count++);
}

/* Answer a command; returns the code. */
static int answer(const char *usual, int mail, int rcpt)
{
	bool is_loose = far.opt.mode == FAR_LOOSE;
	unsigned how = 0;
	const char *text = usual;

	if (far.answered < far.answers.n)
		how = (unsigned char)far.answers.p[far.answered++];
	if (is_loose && how == FAR_EXTRA)
		add_reply("250 2.1.5 Ok", -1, -1);
	if (is_loose && how == FAR_ODD)
		add_reply("Hello there", -1, -1);
	if (far.opt.mode == FAR_RAW || (is_loose && how == FAR_MISSING))
		return 0;
	if (how < far.opt.reply_count && far.opt.replies[how] != NULL)
		text = far.opt.replies[how];
	add_reply(text, mail, rcpt);
	return (int)strtol(text, NULL, 10);
}

static bool is_yes(int code)
{
	return code / 100 == 2;
}

/* ---- Commands ---- */

static void forget(void)
{
	far.tx.mail = -1;
	far.tx.has_mail = far.tx.is_data = false;
	memset(far.tx.accepted, 0, sizeof(far.tx.accepted));
	buf_reset(&far.tx.content);
}

static int number_at(struct span line, size_t *at)
{
	int n = 0;

	for (; *at < line.n && line.p[*at] >= '0' && line.p[*at] <= '9'; ++*at)
		n = n * 10 + line.p[*at] - '0';
	return n;
}

static void on_mail(struct span line, bool is_tls)
{
	size_t at = span_find(line, '<') + 2;

	FUZZ_CHECK(is_tls || !far.opt.is_tls_must);
	FUZZ_CHECK(!far.tx.has_mail || !is_exact());
	forget();
	far.tx.mail = number_at(line, &at);
	FUZZ_CHECK(far.tx.mail < FAR_MAILS &&
		   far_mails[far.tx.mail].rcpts > 0);
	far.tx.has_mail = is_yes(answer("250 2.1.0 Sender", far.tx.mail, -1));
}

static void on_rcpt(struct span line)
{
	size_t at = span_find(line, '<') + 2;
	int rcpt = number_at(line, &at);
	struct far_mail *m;
	bool ok;

	at++;
	FUZZ_CHECK(number_at(line, &at) == far.tx.mail);
	m = &far_mails[far.tx.mail];
	FUZZ_CHECK(rcpt < (int)m->rcpts);
	ok = is_yes(answer(far.tx.has_mail ? "250 2.1.5 Recipient"
					   : "503 5.5.1 Order",
			   far.tx.mail, rcpt)) &&
	     far.tx.has_mail;
	m->is_taken[rcpt] |= ok;
	far.tx.accepted[rcpt] = ok || !is_exact();
}

static bool anybody(void)
{
	for (size_t i = 0; i < FAR_RCPTS; i++)
		if (far.tx.accepted[i])
			return true;
	return false;
}

static void on_data(void)
{
	far.tx.is_data = answer(anybody() ? "354 Go on" : "503 5.5.1 Order",
				far.tx.mail, -1) == 354;
}

static void on_bdat(struct span line)
{
	far.tx.chunk = strtoul(line.p + 4, NULL, 10);
	far.tx.is_last = line.n > 5 && line.p[line.n - 1] == 'T';
	FUZZ_CHECK(far.tx.chunk > 0 || far.tx.is_last);
}

static void on_ehlo(void)
{
	char text[200];

	snprintf(text, sizeof(text), "250-far.test\r\n%s", far.opt.ehlo);
	answer(text, -1, -1);
	forget();
}

static bool starts(struct span line, const char *verb)
{
	return span_starts(line, span_str(verb));
}

static void on_command(struct span line, bool is_tls)
{
	if (starts(line, "EHLO")) {
		on_ehlo();
	} else if (starts(line, "MAIL FROM:")) {
		on_mail(line, is_tls);
	} else if (starts(line, "RCPT TO:")) {
		on_rcpt(line);
	} else if (starts(line, "DATA")) {
		on_data();
	} else if (starts(line, "BDAT")) {
		on_bdat(line);
	} else if (starts(line, "STARTTLS")) {
		FUZZ_CHECK(!is_tls);
		answer("220 2.0.0 Go on", -1, -1);
	} else if (starts(line, "RSET") || starts(line, "HELO")) {
		answer("250 2.0.0 Reset", -1, -1);
		forget();
	} else if (starts(line, "QUIT")) {
		answer("221 2.0.0 Bye", -1, -1);
	} else {
		FUZZ_CHECK(!is_exact()); /* content for a command */
	}
}

/* ---- Content ---- */

/* All of it is there. */
static void on_content(void)
{
	struct far_mail *m = &far_mails[far.tx.mail];
	struct span got = buf_span(&far.tx.content);
	bool is_whole = span_eq(got, buf_span(&m->content)) && m->is_all;
	bool yes;

	/* nobody is to have it: an end without content takes it back */
	FUZZ_CHECK(is_whole || !anybody() || !is_exact() ||
		   (got.n == 0 && !far.tx.has_mail));
	yes = is_yes(answer(anybody() ? "250 2.6.0 Taken"
				      : "554 5.5.1 Nobody",
			    far.tx.mail, -1));
	for (size_t i = 0; i < m->rcpts; i++) {
		if (!far.tx.accepted[i] || !is_whole)
			continue;
		m->reached[i] = true;
		FUZZ_CHECK(!yes || !m->has_it[i] || !is_exact());
		m->has_it[i] |= yes;
	}
	forget();
}

/* A line of DATA without its dot; false: the end. */
static bool take_line(struct span line)
{
	if (span_eq(line, SPAN_LIT(".\r\n")))
		return false;
	buf_add(&far.tx.content, line.p[0] == '.' ? span_skip(line, 1) : line);
	return true;
}

static void on_line(struct span line, bool is_tls)
{
	if (far.tx.is_data) {
		far.tx.is_data = take_line(line);
		if (!far.tx.is_data)
			on_content();
		return;
	}
	FUZZ_CHECK(line.n <= 1000 || !is_exact());
	on_command((struct span){ line.p, line.n - 2 }, is_tls);
}

static size_t take_chunk(struct span in)
{
	size_t n = in.n < far.tx.chunk ? in.n : far.tx.chunk;

	if (far.tx.mail >= 0)
		buf_add(&far.tx.content, (struct span){ in.p, n });
	far.tx.chunk -= n;
	return n;
}

static void end_chunk(void)
{
	bool is_last = far.tx.is_last;

	far.tx.is_last = false;
	if (is_last && far.tx.mail >= 0)
		on_content();
	else
		answer("250 2.0.0 Chunk", far.tx.mail, -1);
}

/* A line, or some of a chunk; 0: more has to come. */
static size_t hear(struct span in, bool is_tls)
{
	size_t end = span_find(in, '\n');
	size_t n;

	if (far.tx.chunk > 0) {
		n = take_chunk(in);
		if (far.tx.chunk == 0)
			end_chunk();
		return n;
	}
	if (end >= in.n)
		return 0;
	FUZZ_CHECK(end > 0 && in.p[end - 1] == '\r');
	on_line((struct span){ in.p, end + 1 }, is_tls);
	if (far.tx.is_last && far.tx.chunk == 0)
		end_chunk(); /* BDAT 0 LAST */
	return end + 1;
}

static void on_output(struct span bytes, bool is_tls)
{
	struct span in;
	size_t n;

	buf_add(&far.heard, bytes);
	in = buf_span(&far.heard);
	while (in.n > 0 && (n = hear(in, is_tls)) > 0)
		in = span_skip(in, n);
	buf_consume(&far.heard, far.heard.n - in.n);
}

/* ---- The connection ---- */

void far_lost(void)
{
	buf_reset(&far.wire);
	buf_reset(&far.heard);
	far.tx.chunk = 0;
	far.tx.is_last = false;
	forget();
}

void far_connect(void)
{
	size_t was = fake_count();

	if (!fake_is_waiting())
		return;
	buf_reset(&far.wire); /* in clear text behind STARTTLS */
	fake_ready();
	if (fake_live() != NULL && conn_tls(fake_live()) == NULL &&
	    fake_count() == was)
		answer("220 far.test ESMTP", -1, -1);
}

void far_arrive(size_t bytes)
{
	struct buf piece = { 0 };
	size_t n = bytes < far.wire.n ? bytes : far.wire.n;

	buf_add(&piece, (struct span){ far.wire.p, n });
	buf_consume(&far.wire, n);
	fake_arrive(buf_span(&piece));
	buf_fini(&piece);
}

/* ---- From outside ---- */

void far_choose(unsigned how)
{
	buf_addc(&far.answers, (char)how);
}

void far_choose_nothing(void)
{
	buf_reset(&far.answers);
	far.answered = 0;
}

void far_say(struct span bytes)
{
	buf_add(&far.wire, bytes);
}

bool far_knows(struct span words, struct far_serial *out)
{
	size_t at = words.n, n;

	while (at > 0 && words.p[at - 1] >= '0' && words.p[at - 1] <= '9')
		at--;
	if (!is_exact() || at == 0 || at == words.n || words.p[at - 1] != '#')
		return false;
	n = (size_t)number_at(words, &at);
	FUZZ_CHECK(n < far.serial_count);
	*out = far.serials[n];
	return true;
}

void far_begin(const struct far_options *opt)
{
	far.opt = *opt;
	forget();
	fake_on_output = on_output;
	fake_reset();
}

void far_clean(void)
{
	for (size_t i = 0; i < FAR_MAILS; i++)
		buf_fini(&far_mails[i].content);
	memset(far_mails, 0, sizeof(far_mails));
	buf_fini(&far.wire);
	buf_fini(&far.heard);
	buf_fini(&far.answers);
	buf_fini(&far.tx.content);
	memset(&far, 0, sizeof(far));
}

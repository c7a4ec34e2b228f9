#include "tests/fuzz/far.h"

#include "common/base/assert.h"
#include "tests/fuzz/fakeconn.h"
#include "tests/fuzz/fuzz.h"

enum { SERIALS = 4096 };

/* What a reply was for. */
struct serial {
	int mail, rcpt; /* rcpt < 0: all of it */
};

struct far_mail far_mails[FAR_MAILS];

static struct {
	bool is_exact;
	const char *ehlo;
	struct buf wire;  /* said, and not there yet */
	struct buf heard; /* less than a line */
	struct buf answers;
	size_t answered, serial_count;
	struct serial serials[SERIALS];
	/* the transaction that it is in */
	struct {
		int mail;
		bool has_mail, is_data;
		bool accepted[FAR_RCPTS];
		struct buf content;
	} tx;
} far;

/* ---- What it says ---- */

static const char *const replies[] = {
	NULL, /* as it should be */
	"450 4.2.1 Busy",	    "550 5.1.1 Unknown",
	"421 4.3.2 Leaving",	    "452 4.5.3 Too many",
	"554 5.7.1 Not from you",   "250 2.1.5 Ok",
	"354 Go on",		    "500 5.5.2 What?",
	"503 5.5.1 Order",	    "555 5.5.4 Option",
	"250-2.0.0 T\x01o\r\n250 2.0.0 Lines", "552 5.3.4 Large",
	"251 2.1.5 Elsewhere",	    "550",
};

static void add_reply(const char *text, int mail, int rcpt)
{
	FUZZ_CHECK(far.serial_count < SERIALS || !far.is_exact);
	if (far.serial_count == SERIALS)
		return;
	far.serials[far.serial_count] = (struct serial){ mail, rcpt };
	buf_addf(&far.wire, "%s #%zu\r\n", text, far.serial_count++);
}

/* Answer a command; returns the code. */
static int answer(const char *usual, int mail, int rcpt)
{
	unsigned how = 0;
	const char *text;

	if (far.answered < far.answers.n)
		how = (unsigned char)far.answers.p[far.answered++];
	if (!far.is_exact)
		return 0;
	text = how < COUNT(replies) && replies[how] != NULL ? replies[how]
							    : usual;
	add_reply(text, mail, rcpt);
	return (int)strtol(text, NULL, 10);
}

static void forget(void)
{
	far.tx.mail = -1;
	far.tx.has_mail = far.tx.is_data = false;
	memset(far.tx.accepted, 0, sizeof(far.tx.accepted));
	buf_reset(&far.tx.content);
}

/* The number behind '<' and a letter. */
static int number_in(struct span line, int most)
{
	size_t at = span_find(line, '<') + 2;
	int n = 0;

	for (; at < line.n && line.p[at] >= '0' && line.p[at] <= '9'; at++)
		n = n * 10 + line.p[at] - '0';
	FUZZ_CHECK(n < most);
	return n;
}

static void on_rcpt_command(struct span line)
{
	int rcpt = number_in(line, FAR_RCPTS);
	bool ok;

	if (far.tx.mail < 0)
		return;
	ok = answer(far.tx.has_mail ? "250 2.1.5 Ok" : "503 5.5.1 Order",
		    far.tx.mail, rcpt) /
			     100 ==
		     2 &&
	     far.tx.has_mail;
	far.tx.accepted[rcpt] = ok || !far.is_exact;
	far_mails[far.tx.mail].is_taken[rcpt] |= ok;
}

static bool anybody(void)
{
	for (size_t i = 0; i < FAR_RCPTS; i++)
		if (far.tx.accepted[i])
			return true;
	return false;
}

static void on_content(void)
{
	struct far_mail *m = &far_mails[far.tx.mail];
	bool is_whole = span_eq(buf_span(&far.tx.content),
				buf_span(&m->content)) &&
			m->is_all;
	bool ok;

	/* an end without content takes it back: nobody is to have it */
	FUZZ_CHECK(is_whole || !anybody() || !far.is_exact ||
		   far.tx.content.n == 0);
	ok = answer(anybody() ? "250 2.6.0 Taken" : "554 5.5.1 Nobody",
		    far.tx.mail, -1) /
		     100 ==
	     2;
	for (size_t i = 0; i < FAR_RCPTS; i++)
		m->has_it[i] |= far.tx.accepted[i] && is_whole && ok;
	forget();
}

static void on_command(struct span line)
{
	if (span_starts(line, SPAN_LIT("EHLO"))) {
		answer(far.ehlo, -1, -1);
		forget();
	} else if (span_starts(line, SPAN_LIT("MAIL"))) {
		forget();
		far.tx.mail = number_in(line, FAR_MAILS);
		far.tx.has_mail = answer("250 2.1.0 Sender", far.tx.mail, -1) /
					100 ==
				2;
	} else if (span_starts(line, SPAN_LIT("RCPT"))) {
		on_rcpt_command(line);
	} else if (span_starts(line, SPAN_LIT("DATA"))) {
		far.tx.is_data = answer(anybody() ? "354 Go on"
						: "503 5.5.1 Order",
				      far.tx.mail, -1) == 354;
	} else {
		FUZZ_CHECK(!far.is_exact || line.n == 4 || line.n > 100 ||
			   span_starts(line, SPAN_LIT("HELO")));
		answer("250 2.0.0 Reset", -1, -1);
		forget();
	}
}

static void on_line(struct span line)
{
	if (!far.tx.is_data) {
		on_command((struct span){ line.p, line.n - 2 });
	} else if (span_eq(line, SPAN_LIT(".\r\n"))) {
		if (far.tx.mail >= 0)
			on_content();
		forget();
	} else {
		buf_add(&far.tx.content,
			line.p[0] == '.' ? span_skip(line, 1) : line);
	}
}

static void on_output(struct span bytes, bool is_tls)
{
	struct span in;
	size_t end;

	(void)is_tls;
	buf_add(&far.heard, bytes);
	in = buf_span(&far.heard);
	while ((end = span_find(in, '\n')) < in.n) {
		FUZZ_CHECK(end > 0 && in.p[end - 1] == '\r');
		on_line((struct span){ in.p, end + 1 });
		in = span_skip(in, end + 1);
	}
	buf_consume(&far.heard, far.heard.n - in.n);
}

/* ---- The connection ---- */

void far_lost(void)
{
	buf_reset(&far.wire);
	buf_reset(&far.heard);
	forget();
}

static void arrive(size_t n)
{
	struct buf piece = { 0 };

	n = n < far.wire.n ? n : far.wire.n;
	buf_add(&piece, (struct span){ far.wire.p, n });
	buf_consume(&far.wire, n);
	fake_arrive(buf_span(&piece));
	buf_fini(&piece);
}

void far_serve(size_t bytes)
{
	size_t was = fake_count();

	if (fake_is_waiting()) {
		fake_ready();
		if (fake_live() != NULL && fake_count() == was)
			answer("220 far.test ESMTP", -1, -1);
	}
	arrive(bytes);
	if (fake_count() != was) /* it is tried another way */
		far_lost();
}

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

bool far_is_for(const char *words, int mail, int rcpt)
{
	const char *at = strrchr(words, '#');
	const struct serial *s;
	char *end;
	long n = at != NULL ? strtol(at + 1, &end, 10) : -1;

	if (at == NULL || *end != '\0' || !far.is_exact)
		return true;
	FUZZ_CHECK((size_t)n < far.serial_count);
	s = &far.serials[n];
	return (s->mail == mail || s->mail < 0) &&
	       (rcpt < 0 || s->rcpt < 0 || s->rcpt == rcpt);
}

void far_begin(bool is_exact, const char *ehlo)
{
	far.is_exact = is_exact;
	far.ehlo = ehlo;
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

/* Sessions whose mail is relayed, behind a door of the test's own. */
#include "tests/unit/daemon/intake/world.h"

#define RCPT(who) "RCPT TO:<" who ">\r\n"
#define TEXT "Subject: x\r\n\r\n..hello\r\n.\r\n"

/* ---- A primary that answers at once, or not at all ---- */

struct lane {
	struct lane_ask ask;
	size_t rcpts;
	uint64_t bytes;
	bool is_over;
};

static struct {
	bool is_down;	/* nobody answers */
	bool is_silent; /* nobody is answered: see say_now */
	struct lane *lane;
	struct buf got;
	char paths[1000];
	bool has_end;
	unsigned closed; /* without the end */
	enum outcome outcome;
	enum refused_at at;
	const char *reply;
	bool in_doubt;
} door;

static bool may_answer(struct span domain, void *arg)
{
	(void)arg;
	cr_expect_gt(domain.n, 0);
	return !door.is_down;
}

static void rcpt(struct lane *l, const struct recipient *r)
{
	struct span local = smtp_local_of(r->path);
	size_t n = strlen(door.paths);
	enum meaning m = MEANS_YES;
	const char *reply = "250 2.1.5 well known";

	snprintf(door.paths + n, sizeof(door.paths) - n, "%.*s ",
		 SPAN_ARG(r->path));
	l->rcpts++;
	if (door.is_silent)
		return;
	if (span_eq(local, SPAN_LIT("other"))) {
		m = MEANS_LATER;
		reply = "450 4.2.1 other is busy";
	} else if (span_eq(local, SPAN_LIT("no"))) {
		m = MEANS_NEVER;
		reply = "550 5.1.1 nobody of that name";
	}
	l->ask.listener->on_rcpt(l->rcpts - 1, m, span_str(reply), l->ask.arg);
}

static struct lane *ask_lane(const struct lane_ask *what, void *arg)
{
	const struct lane_peer peer = { .host = SPAN_LIT("mx.test") };
	struct lane *l = mx_alloc(sizeof(*l));

	(void)arg;
	l->ask = *what;
	if (what->unit == NULL) { /* one destination for example.* */
		bool is_same = span_starts(what->domain, SPAN_LIT("example."));

		what->listener->on_none(is_same ? LANE_SAME : LANE_OTHER,
					SPAN_LIT(""), what->arg);
		return l;
	}
	door.lane = l;
	buf_reset(&door.got);
	door.paths[0] = '\0';
	door.has_end = false;
	what->listener->on_begun(&peer, what->arg);
	rcpt(l, &what->unit->rcpts[0]);
	return l;
}

/* The job is over, in door.outcome. */
static void say_now(void)
{
	struct lane *l = door.lane;
	struct settlement set[8] = { 0 };
	struct delivery_job job = {
		.unit = l->ask.unit,
		.set = set,
		.count = l->rcpts,
		.refused_at = door.at,
		.failed_at = door.at,
		.in_doubt = door.in_doubt,
	};
	struct delivery_end end = { .why = DELIVERY_LOST, .stage = "dot" };

	smtp_reply_set(&end.reply, 451, "4.4.2", SPAN_LIT("Time-out"));
	end.reply.made = "dot";
	for (size_t i = 0; i < l->rcpts; i++) {
		set[i].outcome = door.outcome;
		set[i].reply = span_str(door.reply);
	}
	l->is_over = true;
	l->ask.listener->on_done(
		&job, door.outcome == OUTCOME_UNTRIED ? &end : NULL,
		l->ask.arg);
	smtp_reply_fini(&end.reply);
}

static void more_content(struct lane *l, uint64_t bytes, bool is_all)
{
	l->bytes = bytes;
	while (door.got.n < bytes)
		cr_assert_eq(l->ask.source.read(l->ask.source.arg, NULL,
						door.got.n, bytes - door.got.n,
						&door.got),
			     MX_OK);
	door.has_end = is_all;
	if (is_all && !door.is_silent)
		say_now();
}

static void close_lane(struct lane **lp)
{
	struct lane *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	if (l->ask.unit != NULL)
		door.closed += !l->is_over && !door.has_end;
	if (door.lane == l)
		door.lane = NULL;
	unit_free(&l->ask.unit);
	free(l);
}

static const struct relay_door the_door = {
	may_answer, ask_lane, rcpt, more_content, close_lane, close_lane, NULL,
};

/* ---- The world ---- */

static void open_world(void)
{
	memset(&door, 0, sizeof(door));
	door.outcome = OUTCOME_DELIVERED;
	door.reply = "250 2.0.0 taken as 4711";
	world_open("policy = { standby = \"relay\"; };"
		   "limits = { message_size = \"1M\"; };");
	world.intake->door = &the_door;
}

static void close_world(void)
{
	world_close();
	buf_fini(&door.got);
}

TestSuite(intake_carry, .init = open_world, .fini = close_world,
	  .timeout = 60);

/* As far as the content. */
static int envelope(const char *rcpts)
{
	int fd = client_open();

	say(fd, HELLO);
	cr_assert_str_eq(say(fd, FROM), "250");
	client_send(fd, span_str(rcpts));
	client_read(fd);
	return fd;
}

static const char *content(int fd, const char *text)
{
	cr_expect_str_eq(say(fd, "DATA\r\n"), "354");
	client_send(fd, span_str(text));
	return client_read(fd);
}

static void refuse(enum outcome o, enum refused_at at, const char *reply)
{
	door.outcome = o;
	door.at = at;
	door.reply = reply;
}

/* ---- Tests ---- */

Test(intake_carry, the_primary_speaks)
{
	static const char head[] = "Received: from client.test ([192.0.2.7])";
	int fd = client_open();
	const char *said;

	say(fd, HELLO);
	client_send(fd, SPAN_LIT(FROM RCPT("user@example.com")));
	cr_expect_not_null(strstr(client_read(fd), "250 2.1.5 well known\r\n"));
	said = content(fd, TEXT);
	cr_expect_str_eq(said, "250 2.0.0 taken as 4711\r\n");
	cr_expect_eq(fake.kept_count, 0);
	cr_expect_eq(fake.drafts, 0);
	buf_addc(&door.got, '\0');
	cr_expect_eq(strncmp(door.got.p, head, strlen(head)), 0);
	cr_expect_not_null(strstr(door.got.p, "for <user@example.com>;"));
	cr_expect_not_null(strstr(door.got.p, "Subject: x\r\n\r\n.hello\r\n"));
	/* and the next one */
	cr_expect_str_eq(say(fd, FROM RCPT("user@example.com")), "250 250");
	cr_expect_str_eq(content(fd, TEXT), "250 2.0.0 taken as 4711\r\n");
	close(fd);
}

/* In one packet, and each reply in its turn. */
Test(intake_carry, pipelined)
{
	int fd = client_open();

	say(fd, HELLO);
	cr_expect_str_eq(
		say(fd, FROM RCPT("user@example.com") RCPT("no@example.org")
				RCPT("other@example.com") "DATA\r\n"),
		"250 250 550 250 354");
	cr_expect_str_eq(door.paths,
			 "user@example.com no@example.org other@example.com ");
	cr_expect_str_eq(say(fd, TEXT), "250");
	cr_expect_eq(fake.kept_count, 1);
	cr_expect_str_eq(fake.kept[0].rcpts,
			 "other@example.com example.com 0 \n");
	close(fd);
}

/* What a list does not have is not asked. */
Test(intake_carry, a_list_refuses_by_itself)
{
	int fd = envelope("");

	cr_expect_str_eq(say(fd, RCPT("nobody@example.com")), "550");
	cr_expect_null(door.lane);
	close(fd);
}

/* Nobody vouches for him: the primary's "later" is his, and if it says nothing
 * he hears what he would in an outage. */
Test(intake_carry, not_listed)
{
	struct config *c = world_config("policy = { standby = \"relay\"; };",
					"example.com recipients=verify\n");
	int fd;

	intake_reload(world.intake, c);
	config_unref(&c);
	fd = envelope("");
	client_send(fd, SPAN_LIT(RCPT("other@example.com")));
	cr_expect_str_eq(client_read(fd), "450 4.2.1 other is busy\r\n");
	cr_expect_str_eq(say(fd, RCPT("no@example.com")), "550");
	cr_expect_str_eq(say(fd, RCPT("user@example.com")), "250");
	door.is_silent = true;
	client_send(fd, SPAN_LIT(RCPT("hm@example.com")));
	refuse(OUTCOME_UNTRIED, REFUSED_NOT, "(rcpt) Time-out");
	say_now();
	cr_expect_str_eq(codes(client_read(fd)), "451");
	/* but whom the primary took is known, and kept */
	cr_expect_str_eq(codes(content(fd, TEXT)), "250");
	cr_expect_eq(fake.kept_count, 1);
	cr_expect_str_eq(fake.kept[0].rcpts,
			 "user@example.com example.com 0 \n");
	close(fd);
}

/* "Later" is no error of the client's, so he may ask for ever: what is kept of
 * those whom he asked about is bounded. */
Test(intake_carry, many_who_are_refused_for_now)
{
	struct config *c = world_config("policy = { standby = \"relay\"; };",
					"example.com recipients=verify\n");
	const char *said;
	size_t asked = 0;
	int fd;

	intake_reload(world.intake, c);
	config_unref(&c);
	fd = envelope("");
	for (int i = 0; i < 2 * RELAY_RCPTS_MAX; i++) {
		client_send(fd, SPAN_LIT(RCPT("other@example.com")));
		said = client_read(fd);
		cr_assert_eq(strstr(said, "other is busy") != NULL,
			     i < RELAY_RCPTS_MAX, "%d %s", i, said);
		cr_assert_eq(said[0], '4');
		asked = door.lane->rcpts;
		door.paths[0] = '\0';
	}
	cr_expect_eq(asked, RELAY_RCPTS_MAX);
	close(fd);
}

/* Behind the last dot: whatever it does. */
Test(intake_carry, the_end)
{
	static const struct {
		enum outcome outcome;
		enum refused_at at;
		const char *reply;
		bool in_doubt;
		const char *said;
		size_t kept; /* recipients */
	} cases[] = {
		{ OUTCOME_DELIVERED, REFUSED_NOT, "250 ok", false, "250 2.0.0",
		  0 },
		{ OUTCOME_PERMANENT, REFUSED_AT_DATA, "554 5.6.0 no", false,
		  "554 5.6.0", 0 },
		{ OUTCOME_PERMANENT, REFUSED_AT_CONTENT, "554 5.7.1 spam",
		  false, "554 5.7.1 spam", 0 },
		{ OUTCOME_TRANSIENT, REFUSED_AT_CONTENT, "451 4.3.0 later",
		  false, "250 2.6.0 Message accepted", 2 },
		{ OUTCOME_UNTRIED, REFUSED_NOT, "", false,
		  "250 2.6.0 Message accepted", 2 },
		{ OUTCOME_UNTRIED, REFUSED_NOT, "(dot) Time-out", true,
		  "250 2.6.0 Message accepted", 2 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int fd = envelope(RCPT("user@example.com") RCPT("x@example.org"));
		size_t had = fake.kept_count;
		const char *said;

		refuse(cases[i].outcome, cases[i].at, cases[i].reply);
		door.in_doubt = cases[i].in_doubt;
		said = content(fd, TEXT);
		cr_expect_eq(strncmp(said, cases[i].said,
				     strlen(cases[i].said)), 0, "%zu: %s", i,
			     said);
		cr_expect_eq(fake.kept_count - had, cases[i].kept > 0);
		if (cases[i].kept > 0)
			cr_expect_eq(fake.kept[had].rcpt_count, 2);
		cr_expect_eq(fake.drafts, 0);
		close(fd);
	}
}

/* Others beside the primary's: committed behind its yes; nothing is kept of
 * what it refuses; and its yes is taken back if they cannot be kept. */
Test(intake_carry, others_beside_it)
{
	int fd = envelope(RCPT("user@example.com") RCPT("other@example.com"));

	fake.slow = true;
	cr_expect_str_eq(content(fd, TEXT), "", "not before it is durable");
	cr_expect(door.has_end);
	cr_expect_eq(fake.pending_count, 1);
	cr_expect_null(door.lane, "the disk alone is waited for");
	fake_committed();
	fake.slow = false;
	cr_expect_str_eq(client_read(fd), "250 2.0.0 taken as 4711\r\n");
	cr_expect_eq(fake.kept[0].rcpt_count, 1);

	client_send(fd, SPAN_LIT(FROM RCPT("user@example.com")
					 RCPT("other@example.com")));
	client_read(fd);
	refuse(OUTCOME_PERMANENT, REFUSED_AT_CONTENT, "554 5.7.1 spam");
	cr_expect_str_eq(content(fd, TEXT), "554 5.7.1 spam\r\n");
	cr_expect_eq(fake.kept_count, 1);

	client_send(fd, SPAN_LIT(FROM RCPT("user@example.com")
					 RCPT("other@example.com")));
	client_read(fd);
	refuse(OUTCOME_DELIVERED, REFUSED_NOT, "250 ok");
	fake.commit = MX_EIO;
	cr_expect_str_eq(codes(content(fd, TEXT)), "451");
	fake.commit = MX_OK;
	close(fd);
}

/* The drain may be closed before the commit comes back (main.c does so): its
 * connection is not held until then. */
Test(intake_carry, nothing_of_the_drain_in_a_commit)
{
	int fd = envelope(RCPT("user@example.com"));

	fake.slow = true;
	refuse(OUTCOME_TRANSIENT, REFUSED_AT_CONTENT, "451 4.3.0 later");
	cr_expect_str_eq(content(fd, TEXT), "");
	cr_expect_eq(fake.pending_count, 1);
	cr_expect_null(door.lane);
	close(fd);
	settle();
	fake_committed();
	fake.slow = false;
	cr_expect_eq(fake.kept_count, 1);
}

/* The spool takes nothing: what goes straight through needs none of it. */
Test(intake_carry, without_the_spool)
{
	int fd;

	fake.room = fake.begin = MX_ESPACE;
	fd = envelope(RCPT("user@example.com"));
	cr_expect_str_eq(say(fd, RCPT("other@example.com")), "452");
	cr_expect_str_eq(content(fd, TEXT), "250 2.0.0 taken as 4711\r\n");
	client_send(fd, SPAN_LIT(FROM RCPT("user@example.com")));
	client_read(fd);
	refuse(OUTCOME_TRANSIENT, REFUSED_AT_CONTENT, "451 4.3.0 later");
	cr_expect_str_eq(codes(content(fd, TEXT)), "452");
	door.is_down = true;
	cr_expect_str_eq(say(fd, FROM RCPT("user@example.com")), "250 452");
	cr_expect_eq(fake.kept_count, 0);
	fake.room = fake.begin = MX_OK;
	close(fd);
}

/* It fails in the middle. */
Test(intake_carry, the_disk_fails)
{
	int fd = envelope(RCPT("user@example.com"));

	fake.write = MX_EIO;
	cr_expect_str_eq(content(fd, TEXT), "250 2.0.0 taken as 4711\r\n");
	client_send(fd, SPAN_LIT(FROM RCPT("user@example.com")));
	client_read(fd);
	refuse(OUTCOME_UNTRIED, REFUSED_NOT, "");
	cr_expect_str_eq(codes(content(fd, TEXT)), "451");
	/* with somebody else to be kept nothing goes on */
	refuse(OUTCOME_DELIVERED, REFUSED_NOT, "250 ok");
	client_send(fd, SPAN_LIT(FROM RCPT("user@example.com")
					 RCPT("other@example.com")));
	client_read(fd);
	cr_expect_str_eq(codes(content(fd, TEXT)), "451");
	cr_expect_eq(door.closed, 1);
	cr_expect_eq(fake.kept_count, 0);
	fake.write = MX_OK;
	close(fd);
}

/* Turned away here: the primary does not have the end of it. */
Test(intake_carry, refused_by_us)
{
	static char large[1100 * 1024];
	struct buf loop = { 0 };
	int fd = envelope(RCPT("user@example.com"));

	for (int i = 0; i < 120; i++)
		buf_adds(&loop, "Received: x\r\n");
	buf_adds(&loop, "\r\n.\r\n");
	cr_expect_str_eq(codes(content(fd, buf_cstr(&loop))), "554");
	cr_expect_eq(door.closed, 1);
	buf_fini(&loop);

	client_send(fd, SPAN_LIT(FROM RCPT("user@example.com")));
	client_read(fd);
	memset(large, 'x', sizeof(large) - 1);
	memcpy(large + sizeof(large) - 6, "\r\n.\r\n", 5);
	for (size_t i = 500; i + 2 < sizeof(large) - 6; i += 500)
		memcpy(large + i, "\r\n", 2);
	cr_expect_str_eq(codes(content(fd, large)), "552");
	cr_expect_eq(door.closed, 2);
	cr_expect_eq(fake.kept_count, 0);
	close(fd);
}

Test(intake_carry, the_client_leaves)
{
	static const char *const lasts[] = {
		"", "RSET\r\n", "QUIT\r\n", "DATA\r\n",
		"DATA\r\nSubject: x\r\n\r\nhal", "BDAT 5\r\nhello",
	};

	for (size_t i = 0; i < COUNT(lasts); i++) {
		int fd = envelope(RCPT("user@example.com"));
		struct span last = span_str(lasts[i]);

		if (span_starts(last, SPAN_LIT("DATA"))) {
			say(fd, "DATA\r\n");
			last = span_skip(last, 6);
		}
		client_send(fd, last);
		client_read(fd);
		close(fd);
		settle();
		cr_expect_eq(door.closed, i + 1, "%s", lasts[i]);
		cr_expect_null(door.lane);
	}
	cr_expect_eq(fake.kept_count, 0);
}

/* Also while the primary is to say something. */
Test(intake_carry, it_leaves_while_it_waits)
{
	int fd = envelope("");

	door.is_silent = true;
	client_send(fd, SPAN_LIT(RCPT("user@example.com")));
	shutdown(fd, SHUT_WR);
	settle();
	cr_expect_not_null(door.lane, "it may still listen");
	refuse(OUTCOME_UNTRIED, REFUSED_NOT, "(rcpt) Time-out");
	say_now();
	cr_expect_str_eq(codes(client_read(fd)), "250 .");
	close(fd);
	settle();
	cr_expect_null(door.lane);
}

Test(intake_carry, chunks)
{
	int fd = envelope(RCPT("user@example.com"));

	cr_expect_str_eq(say(fd, "BDAT 6\r\nhello\r"), "250");
	client_send(fd, SPAN_LIT("BDAT 7 LAST\r\n\n.\r\nend"));
	cr_expect_str_eq(client_read(fd), "250 2.0.0 taken as 4711\r\n");
	buf_addc(&door.got, '\0');
	cr_expect_not_null(strstr(door.got.p, "hello\r\n.\r\nend"));
	close(fd);
}

/* SIGTERM: who waits at RCPT is told, who has said all has his answer. */
Test(intake_carry, a_stop)
{
	int rcpt_fd = envelope(""), end_fd;

	door.is_silent = true;
	client_send(rcpt_fd, SPAN_LIT(RCPT("user@example.com")));
	door.is_silent = false;
	end_fd = envelope(RCPT("user@example.com"));
	door.is_silent = true;
	cr_expect_str_eq(content(end_fd, TEXT), "");
	intake_stop(world.intake);
	cr_expect_str_eq(codes(client_read(rcpt_fd)), "421 .");
	say_now();
	cr_expect_not_null(strstr(client_read(end_fd), "250 2.0.0 taken"));
	close(rcpt_fd);
	close(end_fd);
}

/*
 * Clients that say anything and leave at any time, a disk that is slow, busy,
 * full or broken at any time: nothing crashes and nothing is left behind.
 */
#include "tests/unit/daemon/intake/world.h"

TestSuite(chaos, .fini = world_close);

enum { CLIENTS = 4, ROUNDS = 500, ACTIONS = 60 };

static uint32_t state = 1;

static uint32_t dice(uint32_t sides)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % sides;
}

static const char *const words[] = {
	"EHLO client.test\r\n",
	"HELO x\r\n",
	"MAIL FROM:<a@b.test>\r\n",
	"MAIL FROM:<> SIZE=100\r\n",
	"RCPT TO:<user@example.com>\r\n",
	"RCPT TO:<any@example.org>\r\n",
	"RCPT TO:<nobody@example.com>\r\n",
	"DATA\r\n",
	"DATA\r\n",
	"Subject: x\r\n\r\nsome text\r\n",
	".\r\n",
	".\r\n",
	"\r\n.\r\n",
	"BDAT 10\r\n0123456789",
	"BDAT 10\r\n01234",
	"BDAT 3 LAST\r\nx\r\n",
	"BDAT 0 LAST\r\n",
	"BDAT 99999999999\r\n",
	"STARTTLS\r\n",
	"ETRN example.com\r\n",
	"RSET\r\n",
	"NOOP\r\n",
	"FOO\r\n",
	"half a line",
	"\n",
	"QUIT\r\n",
	"EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<user@example.com>\r\n",
	"EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<user@example.com>\r\n",
};

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static enum mx_err some_err(void)
{
	return dice(12) > 1 ? MX_OK : dice(2) == 0 ? MX_ESPACE : MX_EIO;
}

static void pour(int fd)
{
	static char much[200 * 1000];

	memset(much, "x\n\r."[dice(4)], sizeof(much));
	/* what does not fit is nobody's loss */
	(void)!send(fd, much, sizeof(much), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void act(int *fd)
{
	const char *word = words[dice(COUNT(words))];
	char drop[4096];

	if (*fd < 0) {
		*fd = client_open();
		return;
	}
	switch (dice(24)) {
	case 0:
		shut(fd);
		break;
	case 1:
		shutdown(*fd, SHUT_WR);
		break;
	case 2:
		pour(*fd);
		break;
	case 3:
		fake.busy = true;
		break;
	case 4:
	case 5:
		fake_has_room();
		break;
	case 6:
		fake.slow = dice(3) == 0;
		break;
	case 7:
		fake.room = some_err();
		fake.begin = some_err();
		fake.write = some_err();
		fake.commit = some_err();
		break;
	case 8:
	case 9:
		fake_committed();
		break;
	case 10:
	case 11:
		(void)!recv(*fd, drop, sizeof(drop), MSG_DONTWAIT);
		break;
	default:
		(void)!send(*fd, word, strlen(word),
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	}
	for (uint32_t i = dice(4); i > 0; i--)
		ev_run(world.loop, EVRUN_NOWAIT);
}

static void tidy_up(int *fds)
{
	for (int i = 0; i < CLIENTS; i++)
		shut(&fds[i]);
	fake.slow = false;
	for (int i = 0; i < 20 && intake_sessions(world.intake) > 0; i++) {
		fake_has_room();
		settle();
	}
	fake.room = fake.begin = fake.write = fake.commit = MX_OK;
	cr_assert_eq(intake_sessions(world.intake), 0);
	cr_assert_eq(fake.drafts, 0);
	cr_assert_eq(fake.waiter_count, 0);
}

Test(chaos, leaves_nothing_behind)
{
	int fds[CLIENTS];

	/* who is not counted out again could soon not come in */
	world_open("limits = { message_size = \"1M\"; errors = 50; "
		   "connections = 4; connections_per_client = 4; };");
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = -1;
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < ACTIONS; i++) {
			int *fd = &fds[dice(CLIENTS)];

			if (*fd < 0 && intake_sessions(world.intake) >= CLIENTS)
				tidy_up(fds);
			act(fd);
		}
		tidy_up(fds);
	}
	cr_expect_gt(fake.kept_count, 20, "%zu", fake.kept_count);
}

/* The same, and the daemon stops in the middle of it. */
Test(chaos, stops_at_any_time)
{
	for (int round = 0; round < 10; round++) {
		int fds[CLIENTS];

		world_open("limits = { message_size = \"1M\"; };");
		for (int i = 0; i < CLIENTS; i++)
			fds[i] = -1;
		for (int i = 0; i < ACTIONS; i++)
			act(&fds[dice(CLIENTS)]);
		intake_stop(world.intake);
		for (int i = 0; i < CLIENTS; i++)
			if (fds[i] >= 0)
				act(&fds[i]);
		intake_free(&world.intake);
		fake_committed();
		for (int i = 0; i < CLIENTS; i++)
			shut(&fds[i]);
		if (round < 9)
			world_close(); /* the last one is closed by fini */
	}
}

/* The control socket's file. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/net/local.h"

static char folder[] = "/tmp/mx20-bind-XXXXXX";
static char path[64];
static struct buf why;
static int fd;

static void setup(void)
{
	cr_assert_not_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/control.sock", folder);
}

static void teardown(void)
{
	unlink(path);
	rmdir(folder);
}

static int connects(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	int rc;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	rc = connect(s, (const struct sockaddr *)&at, sizeof(at));
	close(s);
	return rc == 0;
}

Test(local_listen, everybody_may_connect, .init = setup, .fini = teardown)
{
	struct stat st;

	cr_assert_eq(local_listen(span_str(path), &fd, &why), MX_OK);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0666);
	cr_expect(connects());
}

Test(local_listen, replaces_a_socket_that_was_left, .init = setup,
     .fini = teardown)
{
	cr_assert_eq(local_listen(span_str(path), &fd, &why), MX_OK);
	close(fd); /* as a crash does: the file stays */
	cr_assert_not(connects());
	cr_assert_eq(local_listen(span_str(path), &fd, &why), MX_OK);
	cr_expect(connects());
}

Test(local_listen, leaves_a_living_daemon_alone, .init = setup,
     .fini = teardown)
{
	int other;

	cr_assert_eq(local_listen(span_str(path), &other, &why), MX_OK);
	cr_expect_eq(local_listen(span_str(path), &fd, &why), MX_EBUSY);
	cr_expect_not_null(strstr(buf_cstr(&why), path));
	cr_expect(connects());
}

Test(local_listen, never_removes_what_is_no_socket, .init = setup,
     .fini = teardown)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fclose(f);
	cr_expect_eq(local_listen(span_str(path), &fd, &why), MX_EBUSY);
	cr_expect_eq(access(path, F_OK), 0);
}

Test(local_listen, says_that_a_path_is_too_long)
{
	char longer[200];

	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	cr_expect_eq(local_listen(span_str(longer), &fd, &why), MX_EINVAL);
	cr_expect_gt(why.n, 0);
}

/* Who may ask what of the control socket. */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "daemon/control/rights.h"

static const gid_t none = (gid_t)-1;

static enum right right_of(struct rights r, uid_t uid, gid_t a, gid_t b)
{
	gid_t groups[] = { a, b };

	return rights_of(&r, uid, groups, COUNT(groups));
}

Test(control_rights, by_user_and_by_any_group)
{
	static const struct rights r = { .daemon = 7, .orders = 20, .looks = 21 };

	cr_expect_eq(right_of(r, 0, 1, 2), RIGHT_ALL, "root");
	cr_expect_eq(right_of(r, 7, 1, 2), RIGHT_ALL, "the daemon's user");
	cr_expect_eq(right_of(r, 9, 20, 2), RIGHT_ALL, "the primary group");
	cr_expect_eq(right_of(r, 9, 1, 20), RIGHT_ALL, "another group");
	cr_expect_eq(right_of(r, 9, 1, 21), RIGHT_LOOK);
	cr_expect_eq(right_of(r, 9, 21, 20), RIGHT_ALL, "the wider one counts");
	cr_expect_eq(right_of(r, 9, 1, 2), RIGHT_NONE);
	cr_expect_eq(right_of(r, 20, 1, 2), RIGHT_NONE, "a uid is no gid");
}

/* A group that does not exist has no members, whatever the kernel says. */
Test(control_rights, groups_that_are_not_there)
{
	static const struct rights r = { 7, (gid_t)-1, (gid_t)-1 };

	cr_expect_eq(right_of(r, 9, none, none), RIGHT_NONE);
	cr_expect_eq(right_of(r, 0, none, none), RIGHT_ALL);
}

Test(control_rights, the_kernel_says_who_is_connected)
{
	struct rights r = { .daemon = geteuid() + 1,
			    .orders = (gid_t)-1,
			    .looks = getegid() };
	int64_t uid;
	int s[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	cr_expect_eq(rights_of_peer(&r, s[0], &uid),
		     geteuid() == 0 ? RIGHT_ALL : RIGHT_LOOK);
	cr_expect_eq(uid, (int64_t)geteuid());
	cr_expect_eq(rights_of_peer(&r, STDIN_FILENO, &uid), RIGHT_NONE,
		     "no socket, no rights");
	cr_expect_eq(uid, -1);
}

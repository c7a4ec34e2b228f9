#include "daemon/control/rights.h"

#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/alloc.h"

enum { GROUPS_MAX = 65536 }; /* the kernel's own bound */

static const gid_t no_group = (gid_t)-1;

static gid_t group_named(const char *name)
{
	const struct group *group = getgrnam(name);

	return group != NULL ? group->gr_gid : no_group;
}

void rights_find(struct rights *r)
{
	r->daemon = geteuid();
	r->orders = group_named("mx20");
	r->looks = group_named("mx20-view");
}

static bool is_in(gid_t group, const gid_t *groups, size_t count)
{
	for (size_t i = 0; group != no_group && i < count; i++)
		if (groups[i] == group)
			return true;
	return false;
}

enum right rights_of(const struct rights *r, uid_t uid, const gid_t *groups,
		     size_t count)
{
	if (uid == 0 || uid == r->daemon || is_in(r->orders, groups, count))
		return RIGHT_ALL;
	return is_in(r->looks, groups, count) ? RIGHT_LOOK : RIGHT_NONE;
}

/* Its groups behind the primary one, which is not always among them. */
static gid_t *groups_of(int fd, gid_t primary, size_t *count)
{
	gid_t *groups = mx_alloc(sizeof(*groups));
	socklen_t len = 0;

	groups[0] = primary;
	*count = 1;
	/* the first call says how many there are */
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &len);
	if (len == 0 || len > GROUPS_MAX * sizeof(*groups))
		return groups;
	groups = mx_realloc(groups, sizeof(*groups) + len);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &len) == 0)
		*count += len / sizeof(*groups);
	return groups;
}

enum right rights_of_peer(const struct rights *r, int fd, int64_t *uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	enum right right;
	gid_t *groups;
	size_t count;

	*uid = -1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return RIGHT_NONE;
	*uid = (int64_t)who.uid;
	groups = groups_of(fd, who.gid, &count);
	right = rights_of(r, who.uid, groups, count);
	free(groups);
	return right;
}

/*
 * Who may ask what of the control socket.  Anybody may connect to it; the
 * kernel says who that is, and with which groups, at the moment of connect.
 */
#ifndef MX_CONTROL_RIGHTS_H
#define MX_CONTROL_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum right {
	RIGHT_NONE,
	RIGHT_LOOK, /* verbs that change nothing: the group mx20-view */
	RIGHT_ALL,  /* root, the daemon's user, the group mx20 */
};

struct rights {
	uid_t daemon;
	gid_t orders, looks; /* the groups; (gid_t)-1: there is none */
};

/* Look the groups up.  May wait for a directory service: at the start only. */
void rights_find(struct rights *r);

/* Of a user who is in these groups. */
enum right rights_of(const struct rights *r, uid_t uid, const gid_t *groups,
		     size_t count);

/* Of who is connected to the socket; *uid is -1 when that is not known. */
enum right rights_of_peer(const struct rights *r, int fd, int64_t *uid);

#endif

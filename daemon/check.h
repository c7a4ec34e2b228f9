/* mx20d --check: what a start or a reload would trip over. */
#ifndef MX_DAEMON_CHECK_H
#define MX_DAEMON_CHECK_H

#include "config/config.h"

/*
 * Print every fault of a configuration that could be loaded, and leave: 78 if
 * there is one.  Started as root it becomes the user, who reads every file
 * again: a reload happens as that user, and under systemd the start, too.
 */
void check_and_exit(struct config *c) __attribute__((noreturn));

/* Root has been left: warn of what was read as root, and what a reload would
 * not be able to read.  Not of recipient files, of which there may be a
 * million. */
void check_reload(const struct config *c);

#endif

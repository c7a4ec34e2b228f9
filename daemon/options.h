/* The command line of mx20d. */
#ifndef MX_DAEMON_OPTIONS_H
#define MX_DAEMON_OPTIONS_H

#include <stdbool.h>

struct options {
	const char *config;
	bool check;
};

/* Leaves the process after --help and --version, and with 64 when the command
 * line is wrong. */
struct options options_parse(int argc, char **argv);

#endif

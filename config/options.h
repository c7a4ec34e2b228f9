/* Every key of mx20.conf in one table: what it is, its range, its default. */
#ifndef MX_CONFIG_OPTIONS_H
#define MX_CONFIG_OPTIONS_H

#include "config/config.h"

enum option_kind {
	K_COUNT, K_PORT, K_BOOL, K_SIZE, K_TIME, K_TIMES,
	K_TLS, K_BOUNCE, K_LOG,
	K_TEXT, K_PATH, K_PATHS, K_HOST, K_MAILBOX, K_HOP,
	K_ALIASES, K_SERVERS, K_BIND, K_NETWORKS, K_LISTEN,
};

struct option {
	const char *path;       /* "limits.hops" */
	enum option_kind kind;
	size_t field;           /* offset of the value, or of the array... */
	size_t count;           /* ...and of its length */
	int64_t least, most;    /* numbers only: ms, bytes or plain */
	const char *dflt;       /* as it would stand in the file; NULL: none */
	const char *help;
};

extern const struct option config_options[];
extern const size_t config_option_count;

/* The keys of one element of listen, into struct config_listen. */
extern const struct option listen_options[];
extern const size_t listen_option_count;

#endif

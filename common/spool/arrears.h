/* Some of what the mirror lacks, picked to be sent. */
#ifndef MX_SPOOL_ARREARS_H
#define MX_SPOOL_ARREARS_H

#include "common/spool/mirror.h"
#include "common/spool/note.h"

enum { ARREARS_MAX = 256 };

struct mark {
	uint64_t id, stamp, at;
	enum note_kind kind;
	bool is_whole; /* all there was of it was exported */
	bool is_damaged;
};

struct hold_mark {
	uint64_t stamp;
	size_t n;
	char domain[KEY_DOMAIN_MAX];
};

struct arrears {
	uint64_t seq;
	size_t n, hold_n;
	size_t exported; /* of the marks */
	struct mark marks[ARREARS_MAX];
	struct hold_mark holds[ARREARS_MAX];
};

#endif

/* Is this file one that LMDB can be let loose on? */
#ifndef MX_SPOOL_CHECK_H
#define MX_SPOOL_CHECK_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/*
 * LMDB trusts its file: a pointer that rot or a truncation has bent makes it
 * read outside.  Look at the structure first, upper levels before lower ones,
 * for budget_ms, and at several hundred pages however long that takes: a small
 * spool is looked at whole, of a large one all that the start and every
 * look-up pass through.  Contents are judged by their decoders when they are
 * read.
 *
 * MX_OK also for an empty file.  MX_ECORRUPT: why says what was found.
 */
enum mx_err check_file(int fd, int64_t budget_ms, struct buf *why);

/*
 * The same beside a process that may be writing.  What a commit made stands
 * until the one behind the next: a fault counts if there was none meanwhile.
 * MX_OK also when they came too fast to be sure: who commits has looked.
 */
enum mx_err check_moving_file(int fd, int64_t budget_ms, struct buf *why);

#endif

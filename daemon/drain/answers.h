/* Does a primary answer now?  See drain_answers. */
#ifndef MX_DRAIN_ANSWERS_H
#define MX_DRAIN_ANSWERS_H

#include "daemon/drain/dest.h"

/* As the last verdict has it, also while it is probed again. */
bool dest_is_down(const struct dest *dst);
enum drain_answers dest_answers(struct dest *dst);

#endif

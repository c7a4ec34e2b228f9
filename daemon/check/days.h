/* How long a certificate is good for. */
#ifndef MX_CHECK_DAYS_H
#define MX_CHECK_DAYS_H

#include "daemon/check/finding.h"

/* Whole days from now; less than 0: it is over. */
int64_t days_left(int64_t end_ms);
/* ok, a warning in the last two weeks, an error in the last three days. */
enum severity days_severity(int64_t days);

#endif

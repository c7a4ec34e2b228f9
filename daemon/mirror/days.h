/*
 * Each of the three tables has a partition for each day, by the queue ids of
 * that day (a queue id is a time, 20 bits up: spool/draft.c).  Those of days to
 * come are made ahead: the first with the tables, since a day whose mail stands
 * in the default partition can have none any more; the others by the taker.
 */
#ifndef MX_MIRROR_DAYS_H
#define MX_MIRROR_DAYS_H

#include "daemon/mirror/db.h"

enum { AHEAD_DAYS = 2, DAY_NAME = 16 };

extern const char *const day_tables[];
enum { DAY_TABLES = 3 };

int64_t day_of(int64_t wall_ms);
/* As in the names of its partitions: 20261128. */
void day_name(char out[static DAY_NAME], int64_t day);
/* Send what makes those that are not there. */
void day_send(struct db *db, int64_t day);

#endif

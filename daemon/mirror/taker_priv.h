/* The inside of the taker: whose mail may be taken, taking it, and bringing it
 * into the spool. */
#ifndef MX_MIRROR_TAKER_PRIV_H
#define MX_MIRROR_TAKER_PRIV_H

#include "daemon/mirror/mirror_priv.h"

struct victim {
	int64_t owner;
	uint64_t messages; /* as its row has it */
	int64_t after;	   /* ids up to here are taken, or were not to be */
	char name[MIRROR_NAME];
};

struct taker {
	struct mirror *m;
	pthread_t thread;
	struct db *db;
	struct identity id; /* for whom the present round is */
	struct lease_watch watches[MIRROR_NODES];
	struct victim victims[MIRROR_NODES];
	size_t victim_count;
	bool is_doubled; /* two that live have one name, the last time */
	int64_t imported;
	size_t batch;	 /* messages of one transaction */
	int64_t keep_ms; /* monotonic: when partitions are looked after */
	uint64_t illegible[MIRROR_NODES]; /* ids that are left where they are */
	size_t illegible_count;
};

int64_t taker_timeout(const struct taker *t);

/* Read the nodes' rows: for whoever looks, and for victims. */
enum mx_err taker_look(struct taker *t);
/* Take some of it; *n: how many, 0: there is no more. */
enum mx_err taker_take(struct taker *t, struct victim *v, size_t *n);
/* Bring what is ours and not here into the spool: ids behind `imported`, which
 * moves on. */
enum mx_err taker_import(struct taker *t);
/* Make the tables of the days to come, drop those of days that are over. */
enum mx_err taker_keep(struct taker *t);

#endif

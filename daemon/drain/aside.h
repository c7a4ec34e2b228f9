/* Units that connections died with. */
#ifndef MX_DRAIN_ASIDE_H
#define MX_DRAIN_ASIDE_H

#include "daemon/drain/attempt.h"
#include "daemon/drain/suspect.h"

/* A unit that connections died with, see aside.c. */
struct outcast {
	struct attempt_key key;
	UT_hash_handle hh;
	struct domain *domain;
	struct suspect suspect;
	bool is_usual;	   /* goes as others do: none waits */
	bool is_excusable; /* when anything is answered there */
};

/* Is it to be passed over, since connections died with it? */
bool aside_has(struct drain *d, uint64_t id, const struct domain *dom);
/* The job is back: did its connection end with it under way? */
void aside_judge(struct attempt *a);
/* When the time of one of them may come (monotonic); 0: not before something
 * happens. */
int64_t aside_timer(const struct dest *dst);
/* Something was answered: what was lost while nothing was may go. */
void aside_mended(struct dest *dst);
/* An operator wants all to be tried now. */
void aside_hurry(struct dest *dst);
/* Its connection could not be made: that is nobody's fault. */
void aside_failed(struct attempt *a);
void aside_forget(struct drain *d);
void aside_forget_domain(struct domain *dom);

/* ---- aside_look.c ---- */
/* Does the time of one of them come now? */
void aside_look(struct dest *dst);

#endif

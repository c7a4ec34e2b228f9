#include "daemon/web/past.h"



/* A year of hours, and a day of minutes. */
enum { SAMPLES_MAX = CURVE_KEPT_HOURS + 60 * (CURVE_FINE_HOURS + 2) };

struct past {
	struct arena *arena;
	struct web_facts *f;
};

/* The facts' value is gone when this returns. */
static bool add_outage(struct span key, struct span value, void *arg)
{
	struct past *p = arg;
	struct outage *o = &p->f->outages[p->f->outage_count];

	if (!outage_get(key, value, o))
		return true;
	o->destination = arena_span(p->arena, o->destination);
	o->reply = arena_span(p->arena, o->reply);
	o->domains = SPAN_LIT("");
	p->f->outage_count++;
	return p->f->outage_count < WEB_OUTAGES;
}

static bool add_hour(struct span key, struct span value, void *arg)
{
	struct web_facts *f = ((struct past *)arg)->f;
	int64_t hour;

	if (!curve_key_get(key, &hour))
		return true;
	while (f->curve_count < SAMPLES_MAX &&
	       curve_next(&value, hour, &f->curve[f->curve_count]))
		f->curve_count++;
	return f->curve_count < SAMPLES_MAX;
}

void past_load(struct arena *a, struct spool *view, struct web_facts *f)
{
	struct past p = { a, f };

	f->outages = arena_alloc_array(a, WEB_OUTAGES, sizeof(*f->outages));
	f->curve = arena_alloc_array(a, SAMPLES_MAX, sizeof(*f->curve));
	(void)spool_facts(view, OUTAGE_PREFIX, SPAN_LIT(""), add_outage, &p);
	(void)spool_facts(view, CURVE_PREFIX, SPAN_LIT(""), add_hour, &p);
}

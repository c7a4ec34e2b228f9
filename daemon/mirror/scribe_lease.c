#include <string.h>

#include "common/base/clock.h"
#include "daemon/mirror/scribe_priv.h"

int64_t scribe_timeout(const struct scribe *s)
{
	enum { LEAST_MS = 300 };
	int64_t ms = lease_patience_ms(atomic_load(&s->m->lease_ms));

	return ms > LEAST_MS ? ms : LEAST_MS;
}

/* A reload may change the setting at any time: what was asked for counts. */
int64_t scribe_ask(struct scribe *s)
{
	s->length_ms = atomic_load(&s->m->lease_ms);
	s->told = atomic_load(&s->m->messages);
	s->asked_ms = clock_boot_ms();
	return s->length_ms;
}

void scribe_fence(struct scribe *s, enum sql_id fence, uint64_t seq)
{
	int64_t length_ms = scribe_ask(s);
	struct param p[] = {
		PARAM_INT(s->id.owner), PARAM_INT(s->id.fence), PARAM_INT(seq),
		PARAM_INT(length_ms),	PARAM_INT(s->told),
	};

	db_send(s->db, fence, p);
}

void scribe_renewed(struct scribe *s)
{
	if (s->has_lease)
		board_lease(s->m, s->asked_ms, s->length_ms);
}

void scribe_has_lease(struct scribe *s)
{
	s->has_lease = true;
	scribe_renewed(s);
}

enum turn scribe_failed(struct scribe *s, enum mx_err err)
{
	if (err == MX_EBUSY && strcmp(db_state(s->db), SQL_NOT_SO) == 0)
		board_error(s->m, BOARD_SCRIBE,
			    "another process has this spool's place in the "
			    "database, or its mail was taken over");
	else if (err != MX_ESTOP)
		board_error(s->m, BOARD_SCRIBE, db_error(s->db));
	return TURN_LOST;
}

/* Others see there how much it is. */
int64_t scribe_renew_at(const struct scribe *s)
{
	enum { TELL_MS = 2000 };
	int64_t at_ms = lease_renew_at(s->asked_ms, s->length_ms);

	if (s->told != atomic_load(&s->m->messages) &&
	    at_ms > s->asked_ms + TELL_MS)
		at_ms = s->asked_ms + TELL_MS;
	if (s->length_ms != atomic_load(&s->m->lease_ms))
		return 0; /* the database has to know */
	return at_ms;
}

enum turn scribe_renew(struct scribe *s)
{
	struct param p[] = {
		PARAM_INT(s->id.owner),
		PARAM_INT(s->id.fence),
		PARAM_INT(0),
		PARAM_INT(0),
	};
	enum mx_err err;

	if (clock_boot_ms() < scribe_renew_at(s))
		return TURN_NONE;
	p[2] = PARAM_INT(scribe_ask(s));
	p[3] = PARAM_INT(s->told);
	db_begin(s->db);
	db_send(s->db, SQL_RENEW, p);
	err = db_commit(s->db, scribe_timeout(s));
	if (err != MX_OK)
		return scribe_failed(s, err);
	scribe_renewed(s);
	return TURN_NONE;
}

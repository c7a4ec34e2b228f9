#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/mirror/mirror_priv.h"

const char *mirror_state_name(enum mirror_state s)
{
	static const char *const names[] = {
		[MIRROR_AWAY] = "away",	   [MIRROR_BEHIND] = "behind",
		[MIRROR_STEP] = "in-step", [MIRROR_LEAVING] = "leaving",
		[MIRROR_LEFT] = "left",
	};

	MX_ASSERT((size_t)s < COUNT(names));
	return names[s];
}

/* What is away is an alarm, what comes back the end of one. */
static void log_state(const struct mirror *m, const struct mirror_status *st,
		      const char *reason)
{
	bool is_bad = st->state == MIRROR_AWAY;

	log_at(is_bad ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, EV_MIRROR,
	       LOG_STR("state", mirror_state_name(st->state)),
	       LOG_STR("node", m->node), LOG_STR("server", st->server),
	       LOG_STR("reason", *reason != '\0' ? reason
				 : is_bad	 ? st->error
						 : ""));
}

static void forget_errors(struct mirror *m)
{
	m->status.error[0] = '\0';
	memset(m->said, 0, sizeof(m->said));
}

/* Tries to come back are no change: there is a line when it is away, when it
 * answers, and when all is there. */
void board_state(struct mirror *m, enum mirror_state s, const char *reason)
{
	struct mirror_status st;
	bool is_new;

	pthread_mutex_lock(&m->lock);
	is_new = m->status.state != s;
	if (is_new) {
		m->status.state = s;
		m->status.since_ms = clock_wall_ms();
	}
	if (s == MIRROR_AWAY)
		m->status.server[0] = '\0';
	if (s == MIRROR_STEP)
		forget_errors(m);
	st = m->status;
	pthread_mutex_unlock(&m->lock);
	if (is_new)
		log_state(m, &st, reason);
}

/* Each once, whichever thread has it, until all is well; and not what the line
 * of a state will say. */
static bool is_worth_a_line(struct mirror *m, enum board_who who,
			    const char *text)
{
	bool is_new = strcmp(m->said[0], text) != 0 &&
		      strcmp(m->said[1], text) != 0 && *text != '\0';

	snprintf(m->said[who], sizeof(m->said[who]), "%s", text);
	return is_new &&
	       (who != BOARD_SCRIBE || m->status.state == MIRROR_AWAY);
}

void board_error(struct mirror *m, enum board_who who, const char *text)
{
	bool is_said;

	pthread_mutex_lock(&m->lock);
	is_said = is_worth_a_line(m, who, text);
	snprintf(m->status.error, sizeof(m->status.error), "%s", text);
	m->status.error_ms = clock_wall_ms();
	pthread_mutex_unlock(&m->lock);
	if (is_said)
		log_warn(EV_MIRROR, LOG_STR("node", m->node),
			 LOG_STR("error", text));
}

void board_server(struct mirror *m, struct db *db)
{
	struct buf name = { 0 };

	db_server(db, &name);
	pthread_mutex_lock(&m->lock);
	snprintf(m->status.server, sizeof(m->status.server), "%s",
		 buf_cstr(&name));
	snprintf(m->status.synchronous, sizeof(m->status.synchronous), "%s",
		 db_synchronous(db));
	m->status.server_version = db_server_number(db);
	m->status.is_synchronous = db_is_synchronous(db);
	m->status.is_durable = db_is_durable(db);
	m->status.schema = SQL_SCHEMA;
	pthread_mutex_unlock(&m->lock);
	buf_fini(&name);
}

/* ---- Who we are ---- */

void board_identity(struct mirror *m, const struct identity *i)
{
	pthread_mutex_lock(&m->lock);
	m->identity = *i;
	m->identity.number = 0;
	pthread_mutex_unlock(&m->lock);
}

void board_step(struct mirror *m, bool is_in_step)
{
	pthread_mutex_lock(&m->lock);
	m->identity.number = is_in_step ? ++m->numbers : 0;
	pthread_mutex_unlock(&m->lock);
}

struct identity board_who(struct mirror *m)
{
	struct identity i;

	pthread_mutex_lock(&m->lock);
	i = m->identity;
	pthread_mutex_unlock(&m->lock);
	return i;
}

bool board_is(struct mirror *m, const struct identity *i)
{
	struct identity now = board_who(m);

	return now.owner == i->owner && now.fence == i->fence &&
	       now.number == i->number;
}

void board_cut(struct mirror *m)
{
	int64_t now = clock_boot_ms();

	if (atomic_load(&m->until_ms) > now)
		board_lease(m, now - 1, 1);
}

void board_lease(struct mirror *m, int64_t asked_ms, int64_t length_ms)
{
	enum { ENDLESS = 1000 };
	bool is_ours = length_ms > 0;
	int64_t until_ms = is_ours ? lease_until(asked_ms, length_ms) : 0;

	atomic_store(&m->until_ms, until_ms);
	pthread_mutex_lock(&m->view_lock); /* the spool may be closing */
	if (m->view != NULL)
		spool_mirror_lease(m->opt.spool, until_ms,
				   is_ours ? atomic_load(&m->patience_ms)
					   : DAYS(365) * ENDLESS);
	pthread_mutex_unlock(&m->view_lock);
}

#include "common/base/metrics.h"

#include <stdatomic.h>

#include "common/base/assert.h"

/* ---- The table ---- */

/* clang-format off */
#define REASON(word) "reason=\"" #word "\""

/* Of `rejected` lines: those that are the answer to a recipient ... */
static const char *const rcpt_reasons[] = {
	REASON(unknown_recipient), REASON(unknown_yet),
	REASON(unverified_recipient), REASON(unknown_in_outage),
	REASON(standby),           REASON(foreign_domain),
	REASON(unlisted_domain),   REASON(null_mx),
	REASON(routed_recipient),  REASON(subdomains),
	REASON(empty_recipient),   REASON(no_domain),
	REASON(bad_domain),        REASON(address_literal),
	REASON(recipient_syntax),  REASON(syntax),
	REASON(parameter),         REASON(unknown_parameter),
	REASON(utf8_address),      REASON(sequence),
	REASON(recipients),        REASON(recipient_domains),
	REASON(network_memory),    REASON(domain_room),
	REASON(quota),             REASON(rate_unknown),
	REASON(dnsbl),             REASON(primary_size),
	REASON(primary_smtputf8),  REASON(primary_requiretls),
	REASON(primary),
};

/* ... and to a message: at MAIL, or to its content. */
static const char *const message_reasons[] = {
	REASON(sender_syntax),     REASON(syntax),
	REASON(parameter),         REASON(unknown_parameter),
	REASON(utf8_address),      REASON(message_size),
	REASON(space),             REASON(domain_room),
	REASON(network_room),      REASON(storage),
	REASON(hops),              REASON(no_tls),
	REASON(quota),             REASON(rate_messages),
	REASON(primary_size),      REASON(mirror),
	REASON(primary),
};

static const char *const handshakes[] = {
	[HANDSHAKE_IN_OK]      = "side=\"in\",result=\"ok\"",
	[HANDSHAKE_IN_FAILED]  = "side=\"in\",result=\"failed\"",
	[HANDSHAKE_OUT_OK]     = "side=\"out\",result=\"ok\"",
	[HANDSHAKE_OUT_FAILED] = "side=\"out\",result=\"failed\"",
};

/* From a disk that does not flush to one that hardly does. */
static const int64_t commit_us[] = {
	250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
	500000, 1000000, 2500000, 10000000,
};

/* From a primary that is up to the end of the default lifetime. */
static const int64_t wait_s[] = {
	1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400,
	3 * 86400, 7 * 86400, 14 * 86400,
};

/* From what nobody notices to what clients give up on. */
static const int64_t turn_us[] = {
	1000, 5000, 20000, 50000, 100000, 250000, 1000000, 5000000,
};

#define PLAIN(kind) METRIC_##kind, NULL, NULL, 1, 1
#define BY(labels) METRIC_COUNTER, labels, NULL, COUNT(labels), 1
#define BUCKETS(bounds, unit)                                                  \
	METRIC_HISTOGRAM, NULL, bounds, COUNT(bounds), unit

static const struct metric table[METRIC_COUNT] = {
	[METRIC_ACCEPTED] = { "mx20_messages_accepted_total",
		"Messages taken and answered 250.", PLAIN(COUNTER) },
	[METRIC_MESSAGES_REJECTED] = { "mx20_messages_rejected_total",
		"Messages refused at MAIL or for their content.",
		BY(message_reasons) },
	[METRIC_RECIPIENTS_REJECTED] = { "mx20_recipients_rejected_total",
		"Recipients refused at RCPT.", BY(rcpt_reasons) },
	[METRIC_DELIVERED] = { "mx20_recipients_delivered_total",
		"Recipients whose message the next hop took.", PLAIN(COUNTER) },
	[METRIC_RELAYED] = { "mx20_recipients_relayed_total",
		"Recipients whose message was passed on as it arrived.",
		PLAIN(COUNTER) },
	[METRIC_DEFERRED] = { "mx20_recipients_deferred_total",
		"Attempts behind which a recipient waits for its own retry.",
		PLAIN(COUNTER) },
	[METRIC_REFUSED] = { "mx20_recipients_refused_total",
		"Recipients that the next hop refused for good.",
		PLAIN(COUNTER) },
	[METRIC_REPORTS_SENT] = { "mx20_reports_sent_total",
		"Delivery status notifications that the next hop took.",
		PLAIN(COUNTER) },
	[METRIC_SESSIONS] = { "mx20_sessions",
		"Clients that are connected.", PLAIN(GAUGE) },
	[METRIC_SESSION_LIMIT] = { "mx20_session_limit",
		"Clients that may be connected at once.", PLAIN(GAUGE) },
	[METRIC_HANDSHAKES] = { "mx20_tls_handshakes_total",
		"TLS handshakes that ended.", BY(handshakes) },
	[METRIC_COMMIT] = { "mx20_commit_seconds",
		"Time to make a batch of the spool durable.",
		BUCKETS(commit_us, 1000000) },
	[METRIC_WAIT] = { "mx20_delivery_wait_seconds",
		"Time from arrival to delivery, of each recipient.",
		BUCKETS(wait_s, 1) },
	[METRIC_TURN] = { "mx20_loop_turn_seconds",
		"Time of a turn of the loop, in which all else waits.",
		BUCKETS(turn_us, 1000000) },
	[METRIC_RELOAD] = { "mx20_config_reload_success",
		"1: the configuration was taken the last time; 0: refused.",
		PLAIN(GAUGE) },
	[METRIC_BRAKES] = { "mx20_brakes",
		"Domains and destinations that refused too much, and are given "
		"nothing.",
		PLAIN(GAUGE) },
	[METRIC_MIRROR_BEHIND] = { "mx20_mirror_behind",
		"1: the mirror lacks mail, or is away; 0: it has all, or there "
		"is none.",
		PLAIN(GAUGE) },
	[METRIC_MIRROR_LAG] = { "mx20_mirror_lag_messages",
		"Messages that the mirror lacks, or has as they were.",
		PLAIN(GAUGE) },
	[METRIC_MIRROR_LAG_AGE] = { "mx20_mirror_lag_seconds",
		"Age of the oldest message that the mirror lacks; 0: none.",
		PLAIN(GAUGE) },
	[METRIC_MIRROR_LEASE] = { "mx20_mirror_lease_seconds",
		"What is left of the lease; 0: it is over, or there is none.",
		PLAIN(GAUGE) },
	[METRIC_MIRROR_COMMIT] = { "mx20_mirror_commit_seconds",
		"Time to make a batch of the spool durable in the mirror.",
		BUCKETS(commit_us, 1000000) },
	[METRIC_MIRROR_TAKEN] = { "mx20_mirror_taken_total",
		"Messages taken over from other nodes.", PLAIN(COUNTER) },
	[METRIC_MIRROR_DROPPED] = { "mx20_mirror_dropped_total",
		"Messages dropped since another node had taken them over.",
		PLAIN(COUNTER) },
	[METRIC_MIRROR_CONNECTS] = { "mx20_mirror_connects_total",
		"Connections made to the database of the mirror.",
		PLAIN(COUNTER) },
	[METRIC_SPOOL_MESSAGES] = { "mx20_spool_messages",
		"Messages in the spool.", PLAIN(GAUGE) },
	[METRIC_SPOOL_BYTES] = { "mx20_spool_bytes",
		"Size of the messages in the spool.", PLAIN(GAUGE) },
	[METRIC_SPOOL_USED] = { "mx20_spool_used_bytes",
		"What the spool uses of its size.", PLAIN(GAUGE) },
	[METRIC_SPOOL_SIZE] = { "mx20_spool_size_bytes",
		"What the spool may use at most.", PLAIN(GAUGE) },
	[METRIC_OLDEST] = { "mx20_oldest_message_seconds",
		"Age of the oldest message in the spool; 0: it is empty.",
		PLAIN(GAUGE) },
	[METRIC_CERTIFICATE] = { "mx20_certificate_expiry_timestamp_seconds",
		"When the certificate for clients expires, the first of them.",
		PLAIN(GAUGE) },
};
/* clang-format on */

_Static_assert(COUNT(rcpt_reasons) <= METRIC_NUMBERS, "a row is too long");
_Static_assert(COUNT(commit_us) + 2 <= METRIC_NUMBERS, "a row is too long");

const struct metric *metric_get(enum metric_id id)
{
	MX_ASSERT(id < METRIC_COUNT);
	return &table[id];
}

/* text is key="value". */
static bool is_label(const char *text, const char *key, struct span value)
{
	size_t n = strlen(key);

	return strncmp(text, key, n) == 0 &&
	       span_starts(span_str(text + n), SPAN_LIT("=\"")) &&
	       span_starts(span_str(text + n + 2), value) &&
	       strcmp(text + n + 2 + value.n, "\"") == 0;
}

bool metric_label(enum metric_id id, const char *key, struct span value,
		  size_t *label)
{
	const struct metric *row = metric_get(id);

	for (size_t i = 0; row->labels != NULL && i < row->count; i++) {
		if (!is_label(row->labels[i], key, value))
			continue;
		*label = i;
		return true;
	}
	return false;
}

/* ---- The numbers ---- */

static _Atomic uint64_t numbers[METRIC_COUNT][METRIC_NUMBERS];

static void add(enum metric_id id, size_t i, uint64_t n)
{
	atomic_fetch_add_explicit(&numbers[id][i], n, memory_order_relaxed);
}

void metrics_add(enum metric_id id, size_t label, uint64_t n)
{
	const struct metric *row = metric_get(id);

	MX_ASSERT(row->kind == METRIC_COUNTER && label < row->count);
	add(id, label, n);
}

void metrics_set(enum metric_id id, uint64_t value)
{
	MX_ASSERT(metric_get(id)->kind == METRIC_GAUGE);
	atomic_store_explicit(&numbers[id][0], value, memory_order_relaxed);
}

void metrics_observe(enum metric_id id, int64_t value)
{
	const struct metric *row = metric_get(id);
	size_t i = 0;

	MX_ASSERT(row->kind == METRIC_HISTOGRAM);
	while (i < row->count && value > row->bounds[i])
		i++;
	add(id, i, 1);
	add(id, row->count + 1, value > 0 ? (uint64_t)value : 0);
}

void metrics_read(struct metrics *out)
{
	for (size_t id = 0; id < METRIC_COUNT; id++)
		for (size_t i = 0; i < METRIC_NUMBERS; i++)
			out->numbers[id][i] = atomic_load_explicit(
				&numbers[id][i], memory_order_relaxed);
}

uint64_t metrics_up_to(const struct metrics *m, enum metric_id id, size_t bound)
{
	const struct metric *row = metric_get(id);
	uint64_t n = 0;

	MX_ASSERT(row->kind == METRIC_HISTOGRAM && bound <= row->count);
	for (size_t i = 0; i <= bound; i++)
		n += m->numbers[id][i];
	return n;
}

uint64_t metrics_sum(const struct metrics *m, enum metric_id id)
{
	MX_ASSERT(metric_get(id)->kind == METRIC_HISTOGRAM);
	return m->numbers[id][metric_get(id)->count + 1];
}

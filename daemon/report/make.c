/* A report becomes a draft in the spool. */
#include "daemon/report/report.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "daemon/report/report_priv.h"

/* A report is worth less than the mail it is about: nobody waits for it for
 * weeks, and the sender of a forged one never does. */
static const int64_t lifetime_max_ms = DAYS(5);

/* In the unit's arena. */
static struct span reply_path(struct unit *unit)
{
	struct buf path = { 0 };
	struct span kept;

	report_reply_path(&path, unit->envelope.from);
	kept = arena_span(&unit->arena, buf_span(&path));
	buf_fini(&path);
	return kept;
}

/* The reverse-path's domain as the spool sorts it; in the unit's arena. */
static struct span reply_domain(struct unit *unit)
{
	struct span domain = unit->envelope.from;
	size_t local_n = smtp_local_of(domain).n;
	struct buf canon = { 0 };

	if (local_n < domain.n)
		domain = span_skip(domain, local_n + 1);
	/* an address literal has no canonical form: it stays as it is */
	if (smtp_domain_canon(&canon, domain) == MX_OK)
		domain = buf_span(&canon);
	domain = arena_span(&unit->arena, domain);
	buf_fini(&canon);
	return domain;
}

/* As much of the original as a report may quote.  What cannot be read is
 * missing from the report and no reason to make none. */
static enum mx_err read_original(struct spool *sp, const struct unit *unit,
				 struct buf *out)
{
	for (;;) {
		size_t had = out->n;
		enum mx_err err = spool_content(sp, unit->envelope.id, had,
						REPORT_QUOTE_MAX - had, out);

		if (err == MX_ENOENT || err == MX_ECORRUPT)
			return MX_OK;
		if (err != MX_OK)
			return err;
		if (out->n == had || out->n >= REPORT_QUOTE_MAX)
			return MX_OK;
	}
}

/* One whose client is not known is not proven by that. */
static struct span client_of(const struct unit *unit)
{
	struct span client = unit->envelope.client_addr;

	return client.n > 0 ? client : SPAN_LIT("unknown");
}

static void fill_envelope(struct spool_report *out, const struct config *config,
			  struct unit *unit, int64_t now_ms,
			  const struct report_needs *needs)
{
	int64_t lifetime_ms = config->spool.lifetime_ms;

	if (lifetime_ms <= 0 || lifetime_ms > lifetime_max_ms)
		lifetime_ms = lifetime_max_ms;
	out->envelope = (struct envelope){
		.arrived_ms = now_ms,
		.proto = PROTO_LOCAL,
		.body = needs->is_8bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT,
		.smtputf8 = needs->is_smtputf8,
		/* RFC 8689 section 5: protected as the original was, as far
		 * as the way back permits (command_obstacle) */
		.requiretls = unit->envelope.requiretls,
		.tls_required_no = unit->envelope.tls_required_no,
		.client_addr = client_of(unit),
		.helo = unit->envelope.helo,
		.is_dsn = true,
	};
	out->rcpt = (struct spool_rcpt){
		.path = reply_path(unit),
		.domain = reply_domain(unit),
		.notify = SMTP_NOTIFY_NEVER,
		.expires_ms = now_ms + lifetime_ms,
		.warn_ms = 0,
	};
}

void report_is_proven(struct spool_report *report)
{
	report->envelope.client_addr = report->envelope.helo = SPAN_LIT("");
}

enum mx_err report_make(struct spool *sp, const struct config *config,
			struct unit *unit, const struct report_rcpt *rcpts,
			size_t count, int64_t now_ms, struct spool_report *out)
{
	struct report report = {
		.hostname = config->hostname,
		.nonce = random_secret(),
		.now_ms = now_ms,
		.env = &unit->envelope,
		.domain = unit->domain,
		.rcpts = rcpts,
		.count = count,
	};
	struct buf original = { 0 }, text = { 0 };
	struct report_needs needs;
	enum mx_err err;

	MX_ASSERT(count > 0);
	*out = (struct spool_report){ 0 };
	err = read_original(sp, unit, &original);
	if (err != MX_OK)
		goto done;
	err = spool_draft_report(sp, now_ms, original.n, &out->draft);
	if (err != MX_OK)
		goto done;
	report.id = spool_draft_id(out->draft);
	report.original = buf_span(&original);
	report.original_is_whole = original.n >= unit->envelope.bytes;
	report_build(&report, &text, &needs);
	spool_draft_write(out->draft, buf_span(&text));
	err = spool_draft_error(out->draft);
	if (err != MX_OK) {
		spool_draft_discard(&out->draft);
		goto done;
	}
	fill_envelope(out, config, unit, now_ms, &needs);
done:
	buf_fini(&original);
	buf_fini(&text);
	return err;
}

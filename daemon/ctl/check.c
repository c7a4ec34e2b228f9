/* mx20ctl check: the doctor's findings, for people and programs. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/control/control.h"
#include "daemon/ctl/check_priv.h"
#include "daemon/ctl/print.h"

/* Of outages: so many are looked through for one that cost mail. */
enum { PAGES_MAX = 64 };

/* ---- Who we are ---- */

/* What strangers say is not read as root.  The daemon's user has all that is
 * needed, its control socket included. */
static bool leave_root(const struct config *c)
{
	const struct passwd *pw;
	struct buf why = { 0 };

	if (geteuid() != 0 || c->user.n == 0)
		return true;
	errno = 0;
	pw = getpwnam(c->user.p); /* text of the configuration ends with NUL */
	if (pw == NULL) {
		config_no_user(c, &why);
		ctl_complain("%s", buf_cstr(&why));
		buf_fini(&why);
		return false;
	}
	if (pw->pw_uid == 0)
		return true;
	if (initgroups(c->user.p, pw->pw_gid) == 0 &&
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == 0 &&
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == 0)
		return true;
	ctl_complain("cannot become %s: %s", c->user.p, strerrordesc_np(errno));
	return false;
}

/* ---- What the spool knows ---- */

static uint64_t number(const json_t *o, const char *key)
{
	const int64_t n = control_get_int(o, key, 0);

	return n > 0 ? (uint64_t)n : 0;
}

/* The newest that made mail wait. */
static bool take_outage(struct report *r, const json_t *items)
{
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *o = json_array_get(items, i);
		const int64_t ended_ms = print_get_time(o, "ended");

		if (number(o, "messages") == 0)
			continue;
		r->room.outage_messages = number(o, "messages");
		r->room.outage_ms = (ended_ms != 0 ? ended_ms : r->ctl->now_ms) -
				    print_get_time(o, "began");
		return true;
	}
	return false;
}

static enum mx_err find_outage(struct report *r)
{
	struct status_page page = { 0 };
	enum mx_err err = MX_OK;

	for (unsigned i = 0; i < PAGES_MAX; i++) {
		err = source_outages(&r->source, SPAN_LIT(""), &page);
		if (err != MX_OK || take_outage(r, page.items) ||
		    page.next.n == 0)
			break;
	}
	status_page_fini(&page);
	return err;
}

static enum mx_err look_at_spool(struct report *r)
{
	json_t *all = NULL;
	const json_t *o;
	enum mx_err err = source_overview(&r->source, &all);

	if (err != MX_OK)
		return err;
	o = json_object_get(all, "spool");
	r->room.messages = number(o, "messages");
	r->room.bytes = number(o, "bytes");
	r->room.used_bytes = number(o, "used");
	r->room.size_bytes = number(o, "size");
	r->room.disk_bytes = number(o, "disk_free");
	r->room.reserve_bytes = number(o, "reserve");
	r->room.lifetime_ms = r->config->spool.lifetime_ms;
	json_decref(all);
	return find_outage(r);
}

/* Without daemon and spool the rest can be checked all the same. */
static void learn_room(struct report *r)
{
	r->room.why = SPAN_LIT("neither mx20d nor its spool can be asked");
	if (source_open(&r->source, r->ctl, SOURCE_DAEMON) == CTL_DONE)
		r->room.is_known = look_at_spool(r) == MX_OK;
}

/* Only the daemon knows how a table does that is fetched. */
static bool ask_feed(struct report *r, struct span domain, size_t i,
		     struct domains_source *out)
{
	json_t *row = NULL;
	const json_t *o;

	if (!source_is_live(&r->source) ||
	    source_domain(&r->source, domain, &row) != MX_OK)
		return false;
	o = json_array_get(json_object_get(row, "recipients"), i);
	if (o != NULL && span_eq(control_get_text(o, "source"),
				 buf_span(&out->name))) {
		out->count = control_get_int(o, "count", -1);
		out->fetched_ms = print_get_time(o, "fetched");
		buf_reset(&out->error);
		buf_add(&out->error, control_get_text(o, "error"));
	}
	json_decref(row);
	return true;
}

static bool source_at(const struct config_domain *row, struct span domain,
		      size_t i, struct domains_source *out, void *arg)
{
	struct report *r = arg;

	if (!domains_source(r->config->domains, row, i, out))
		return false;
	if (span_starts(buf_span(&out->name), SPAN_LIT("https:")))
		(void)ask_feed(r, domain, i, out);
	return true;
}

/* ---- Which domains ---- */

static int by_name(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return span_cmp(*x, *y);
}

static void take_all(struct report *r)
{
	const struct config_domain *row;

	r->domains = mx_alloc_array(r->config->domain_count + 1,
				    sizeof(*r->domains));
	while ((row = domains_at(r->config->domains, r->domain_count)) != NULL)
		r->domains[r->domain_count++] = row->name;
	qsort(r->domains, r->domain_count, sizeof(*r->domains), by_name);
}

static bool take_arguments(struct report *r)
{
	const size_t n = r->ctl->argument_count;
	size_t *ends = mx_alloc_array(n + 1, sizeof(*ends));
	bool ok = true;

	for (size_t i = 0; ok && i < n; i++) {
		struct buf name = { 0 };
		struct span text = span_str(r->ctl->arguments[i]);

		if (span_starts(text, SPAN_LIT("*.")))
			buf_adds(&name, "*.");
		ok = ctl_domain(text.p + name.n, &name);
		buf_add(&r->names, buf_span(&name));
		ends[i + 1] = r->names.n;
		buf_fini(&name);
	}
	r->domains = mx_alloc_array(n + 1, sizeof(*r->domains));
	for (size_t i = 0; ok && i < n; i++)
		r->domains[r->domain_count++] = span_of(
			r->names.p + ends[i], ends[i + 1] - ends[i]);
	free(ends);
	return ok;
}

/* ---- The verb ---- */

static bool load(struct report *r)
{
	struct config_errors errors = { 0 };

	r->config = config_load_lists(r->ctl->config->path.p, &errors);
	if (r->config == NULL) {
		fflush(stdout);
		fwrite(errors.text.p, 1, errors.text.n, stderr);
	}
	config_errors_fini(&errors);
	return r->config != NULL;
}

static enum ctl_exit run(struct report *r)
{
	const struct check_options opt = {
		.config = r->config,
		.domains = r->domains,
		.domain_count = r->domain_count,
		.room = &r->room,
		.mirror = &r->mirror.mirror,
		.source = source_at,
		.found = report_found,
		.progress = report_progress,
		.arg = r,
	};
	struct buf why = { 0 };
	enum mx_err err;

	r->shows_progress =
		isatty(STDERR_FILENO) == 1 && r->domain_count > 1;
	err = check_run(&opt, &why);
	report_clear(r);
	if (err == MX_OK)
		report_summary(r);
	else
		ctl_complain("%s", buf_cstr(&why));
	buf_fini(&why);
	return err == MX_OK && r->counts[SEVERITY_ERROR] == 0 &&
			       r->counts[SEVERITY_WARNING] == 0
		       ? CTL_DONE
		       : CTL_FAILED;
}

enum ctl_exit ctl_check(struct ctl *ctl)
{
	struct report r = { .ctl = ctl, .source.link.fd = -1 };
	enum ctl_exit rc = CTL_FAILED;

	if (leave_root(ctl->config) && load(&r)) {
		bool ok = true;

		if (ctl->argument_count > 0)
			ok = take_arguments(&r);
		else
			take_all(&r);
		if (ok) {
			learn_room(&r);
			mirror_learn(&r.mirror, &r.source);
			rc = run(&r);
			source_close(&r.source);
		}
	}
	config_unref(&r.config);
	mirror_learn_fini(&r.mirror);
	buf_fini(&r.names);
	buf_fini(&r.told);
	buf_fini(&r.out);
	free(r.domains);
	return rc;
}

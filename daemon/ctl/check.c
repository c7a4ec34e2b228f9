/* mx20ctl check: the doctor's findings, for people and programs. */
#include "daemon/check/check.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/control/control.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/mirror.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/source.h"

enum {
	PAGES_MAX = 64, /* of outages, looked through for one that cost mail */
	NAME_COLUMNS = 19,
	WIDTH_LEAST = 60,
};

struct report {
	struct ctl *ctl;
	struct source source;
	struct config *config;
	struct check_room room;
	struct check_learned mirror;
	struct buf names; /* of all domains, one behind the other */
	struct span *domains;
	size_t domain_count;
	size_t counts[SEVERITY_ERROR + 1];
	struct buf told; /* uint64_t each: what was said of this host */
	bool has_objects;
	bool shows_progress, has_progress; /* a line is on the terminal */
	struct buf out;
};

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

/* ---- Printing ---- */

static void clear_progress(struct report *r)
{
	if (r->has_progress)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	r->has_progress = false;
}

static void progress(size_t done, void *arg)
{
	struct report *r = arg;
	char text[64];
	int n;

	if (!r->shows_progress)
		return;
	n = snprintf(text, sizeof(text), "\r\033[Kchecking: %zu of %zu", done,
		     r->domain_count);
	(void)!write(STDERR_FILENO, text, (size_t)n);
	r->has_progress = true;
}

/* Words of text, broken where the terminal ends, behind indent columns. */
static void add_wrapped(struct report *r, struct span text, size_t indent)
{
	const size_t width = r->ctl->width >= WIDTH_LEAST ? r->ctl->width : 0;
	size_t at = indent;

	while (text.n > 0) {
		struct span word = span_cut(&text, ' ');
		const size_t n = print_columns(word);

		if (width > 0 && at > indent && at + 1 + n > width) {
			buf_addf(&r->out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (at > indent) {
			buf_addc(&r->out, ' ');
			at++;
		}
		buf_add(&r->out, word);
		at += n;
	}
	buf_addc(&r->out, '\n');
}

static void flush(struct report *r)
{
	ctl_write(buf_span(&r->out));
	buf_reset(&r->out);
}

static void show_remedy(struct report *r, struct span remedy)
{
	while (remedy.n > 0) {
		buf_addf(&r->out, "%*s", 11, "");
		print_text(&r->out, span_cut(&remedy, '\n'));
		buf_addc(&r->out, '\n');
	}
	ctl_write_whole(buf_span(&r->out));
	buf_reset(&r->out);
}

static void show_finding(struct report *r, const struct finding *f)
{
	struct buf what = { 0 };

	buf_addf(&r->out, "  %-8s %-*s ", severity_name(f->severity),
		 NAME_COLUMNS - 1, check_name(f->id));
	print_text(&what, f->what);
	add_wrapped(r, buf_span(&what), 11 + NAME_COLUMNS);
	flush(r);
	show_remedy(r, f->remedy);
	buf_fini(&what);
}

/* What is wrong with this host is said once, not with each domain. */
static bool was_told(struct report *r, const struct finding *f)
{
	const uint64_t key = hash_keyed(f->what) + (uint64_t)f->id;
	const size_t n = r->told.n / sizeof(key);

	if (!check_is_of_host(f->id))
		return false;
	for (size_t i = 0; i < n; i++)
		if (memcmp(r->told.p + i * sizeof(key), &key, sizeof(key)) == 0)
			return true;
	buf_add(&r->told, span_of(&key, sizeof(key)));
	return false;
}

static void found_text(struct report *r, struct span domain,
		       const struct findings *f)
{
	bool has_title = false;

	for (size_t i = 0; i < f->count; i++) {
		const struct finding *one = &f->list[i];

		if (was_told(r, one))
			continue;
		r->counts[one->severity]++;
		if (one->severity == SEVERITY_OK && !r->ctl->all)
			continue;
		if (!has_title) {
			print_text(&r->out, domain);
			buf_addc(&r->out, '\n');
		}
		has_title = true;
		show_finding(r, one);
	}
	if (has_title)
		buf_addc(&r->out, '\n');
}

static void found_json(struct report *r, struct span domain,
		       const struct findings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct finding *one = &f->list[i];
		struct buf line = { 0 };

		r->counts[one->severity]++;
		control_encode(&line,
			       json_pack("{s:o, s:s, s:s, s:o, s:o}", "domain",
					 control_text(domain), "check",
					 check_name(one->id), "severity",
					 severity_name(one->severity), "what",
					 control_text(one->what), "remedy",
					 control_text(one->remedy)));
		buf_adds(&r->out, r->has_objects ? ",\n" : "[");
		buf_add(&r->out, span_of(line.p, line.n - 1));
		r->has_objects = true;
		buf_fini(&line);
	}
}

static void found(struct span domain, const struct findings *f, void *arg)
{
	struct report *r = arg;

	clear_progress(r);
	if (r->ctl->json)
		found_json(r, domain, f);
	else
		found_text(r, domain, f);
	flush(r);
	if (r->shows_progress)
		(void)ctl_flush_output();
}

static void add_count(struct report *r, enum severity s, const char *what)
{
	if (r->counts[s] == 0)
		return;
	buf_adds(&r->out, ", ");
	print_count(&r->out, r->counts[s], what);
}

static void summary(struct report *r)
{
	if (r->ctl->json) {
		ctl_write(r->has_objects ? SPAN_LIT("]\n") : SPAN_LIT("[]\n"));
		return;
	}
	print_count(&r->out, r->domain_count, "domain");
	add_count(r, SEVERITY_ERROR, "error");
	add_count(r, SEVERITY_WARNING, "warning");
	add_count(r, SEVERITY_INFO, "note");
	if (r->counts[SEVERITY_ERROR] + r->counts[SEVERITY_WARNING] == 0)
		buf_adds(&r->out, ": ready for the day");
	buf_addc(&r->out, '\n');
	flush(r);
}

/* ---- Which domains ---- */

static int by_name(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	const size_t n = x->n < y->n ? x->n : y->n;
	const int d = n > 0 ? memcmp(x->p, y->p, n) : 0;

	return d != 0 ? d : (x->n > y->n) - (x->n < y->n);
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
		.found = found,
		.progress = progress,
		.arg = r,
	};
	struct buf why = { 0 };
	enum mx_err err;

	r->shows_progress =
		isatty(STDERR_FILENO) == 1 && r->domain_count > 1;
	err = check_run(&opt, &why);
	clear_progress(r);
	if (err == MX_OK)
		summary(r);
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

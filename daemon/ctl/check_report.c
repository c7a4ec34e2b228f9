/* What mx20ctl check prints: findings, the progress, a summary. */
#include <unistd.h>

#include "common/base/hash.h"
#include "common/control/control.h"
#include "daemon/ctl/check_priv.h"
#include "daemon/ctl/print.h"

enum { NAME_COLUMNS = 19, WIDTH_LEAST = 60 };

void report_clear(struct report *r)
{
	if (r->has_progress)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	r->has_progress = false;
}

void report_progress(size_t done, void *arg)
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

void report_found(struct span domain, const struct findings *f, void *arg)
{
	struct report *r = arg;

	report_clear(r);
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

void report_summary(struct report *r)
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

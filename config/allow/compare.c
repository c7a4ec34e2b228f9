#include "config/allow/compare.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "config/allow/domains_priv.h"
#include "config/value/error.h"

/* Fewer recipients come and go for good reasons. */
enum { RECIPIENTS_LEAST = 20 };

/* ---- Words ---- */

static void add_number(struct buf *out, uint64_t n)
{
	if (n >= 1000) {
		add_number(out, n / 1000);
		buf_addf(out, ",%03u", (unsigned)(n % 1000));
	} else {
		buf_addu(out, n);
	}
}

void change_count(struct buf *out, uint64_t n, const char *what)
{
	add_number(out, n);
	buf_addf(out, " %s%s", what, n == 1 ? "" : "s");
}

void change_names_add(struct change_names *names, struct span name)
{
	if (names->count++ >= CHANGE_NAMES)
		return;
	buf_add(&names->names, name);
	buf_addc(&names->names, '\n');
}

/* "a.example, b.example and 9,998 more" */
void change_names_text(struct buf *out, const struct change_names *names)
{
	struct span rest = buf_span(&names->names);

	while (rest.n > 0) {
		buf_add(out, span_cut(&rest, '\n'));
		buf_adds(out, rest.n > 0 ? ", " : "");
	}
	if (names->count > CHANGE_NAMES) {
		buf_adds(out, " and ");
		add_number(out, names->count - CHANGE_NAMES);
		buf_adds(out, " more");
	}
}

static void add_line(struct buf *out, const char *what,
		     const struct change_names *names)
{
	if (names->count == 0)
		return;
	buf_adds(out, what);
	change_names_text(out, names);
	buf_addc(out, '\n');
}

void change_waiting(struct buf *out, uint64_t messages)
{
	change_count(out, messages, "message");
	buf_adds(out, messages == 1 ? " waits" : " wait");
}

/* "-3 domains, +2", "+2 domains": what is nothing is left out. */
static void add_difference(struct buf *out, uint64_t less, uint64_t more,
			   const char *what)
{
	const char *before = out->n > 0 ? "; " : "";

	if (less > 0) {
		buf_addf(out, "%s-", before);
		change_count(out, less, what);
		before = ", ";
	}
	if (more > 0)
		buf_addf(out, "%s+", before);
	if (more > 0 && less > 0)
		add_number(out, more);
	else if (more > 0)
		change_count(out, more, what);
}

static void add_head(struct buf *out, const struct change *ch)
{
	uint64_t before = ch->recipients_before, now = ch->recipients;

	add_difference(out, ch->gone.count, ch->come.count, "domain");
	add_difference(out, before > now ? before - now : 0,
		       now > before ? now - before : 0, "recipient");
	if (ch->messages > 0) {
		buf_adds(out, "; ");
		change_waiting(out, ch->messages);
		buf_adds(out, " for domains that go");
	}
}

void change_text(struct buf *out, const struct change *ch)
{
	struct buf head = { 0 };

	add_head(&head, ch);
	if (head.n > 0) {
		buf_add(out, buf_span(&head));
		buf_addc(out, '\n');
	}
	add_line(out, "  go: ", &ch->gone);
	add_line(out, "  come: ", &ch->come);
	add_line(out, "  mail waits for: ", &ch->waiting);
	buf_fini(&head);
}

/* ---- Recipients ---- */

/* Why a domain's recipients look like an accident; kept for each file, since
 * one may serve a million domains. */
struct loss {
	struct span domain; /* the first such one of the new file */
	uint32_t source;
	bool had_all; /* recipients=* */
	uint64_t before, now;
	size_t more; /* further domains */
};

struct losses {
	struct loss *rows;
	size_t count;
	uint32_t *of_source; /* by number of the new source: 1 + number of a loss */
};

static bool is_loss(uint64_t before, uint64_t now)
{
	if (now == 0)
		return before > 0;
	return before != NO_LIMIT && before >= RECIPIENTS_LEAST &&
	       now < before - now;
}

static bool note_loss(struct losses *l, uint32_t source, const struct row *old,
		      uint64_t before, uint64_t now)
{
	uint32_t *number = &l->of_source[source];

	if (!is_loss(before, now))
		return false;
	if (*number != 0) {
		l->rows[*number - 1].more++;
		return true;
	}
	if ((l->count & (l->count + 1)) == 0) /* 0 1 3 7 ... */
		l->rows = mx_realloc(l->rows,
				     (l->count + 1) * 2 * sizeof(*l->rows));
	l->rows[l->count++] = (struct loss){
		.domain = old->pub.name,
		.source = source,
		.had_all = old->pub.any_recipient,
		.before = before,
		.now = now,
	};
	*number = (uint32_t)l->count;
	return true;
}

/* The same file among those of the row before; of what is remembered only the
 * sum is known. */
static const struct use *former_use(const struct change *ch,
				    const struct row *old, uint32_t source)
{
	struct buf name = { 0 }, other = { 0 };
	const struct use *found = NULL;

	source_name(&name, ch->now, source);
	for (uint32_t i = 0; i < old->use_count && found == NULL; i++) {
		const struct use *use = &ch->old->uses[old->use + i];

		buf_reset(&other);
		source_name(&other, ch->old, use->source);
		if (span_eq(buf_span(&name), buf_span(&other)))
			found = use;
	}
	buf_fini(&name);
	buf_fini(&other);
	return found;
}

/* A file that is one of several: the others may hide that it is empty.  What
 * comes from a URL is judged when it comes. */
static bool compare_sources(const struct change *ch, const struct row *old,
			    const struct row *row, struct losses *l)
{
	bool found = false;

	for (uint32_t i = 0; row->use_count > 1 && i < row->use_count; i++) {
		const struct use *use = &ch->now->uses[row->use + i];
		const struct use *was = NULL;

		if (ch->now->sources[use->source].feed == NULL)
			was = former_use(ch, old, use->source);
		if (was != NULL)
			found |= note_loss(l, use->source, old,
					   use_recipients(ch->old, old, was),
					   use_recipients(ch->now, row, use));
	}
	return found;
}

static void compare_recipients(const struct change *ch, const struct row *old,
			       const struct row *row, struct losses *l)
{
	if (row->use_count > 0 && !compare_sources(ch, old, row, l))
		(void)note_loss(l, ch->now->uses[row->use].source, old,
				row_recipients(ch->old, old),
				row_recipients(ch->now, row));
}

static void refuse_loss(struct change *ch, const struct loss *loss)
{
	struct buf file = { 0 }, text = { 0 };

	source_name(&file, ch->now, loss->source);
	buf_add(&text, loss->domain);
	if (loss->more > 0) {
		buf_adds(&text, " and ");
		change_count(&text, loss->more, "more domain");
	}
	if (loss->before == NO_LIMIT) {
		buf_adds(&text, loss->had_all
					? " took every recipient"
					: " had recipients that are not listed");
	} else {
		buf_adds(&text, " had ");
		change_count(&text, loss->before, "recipient");
	}
	buf_adds(&text, " and would have ");
	if (loss->now > 0)
		add_number(&text, loss->now);
	else
		buf_adds(&text, "none");
	config_fail(&ch->refusals, buf_span(&file), 0, "%s", buf_cstr(&text));
	buf_fini(&file);
	buf_fini(&text);
}

/* ---- Domains ---- */

/* The row that covers what this one did: "*.a.example" is looked up like a
 * name below a.example. */
static const struct row *heir_of(const struct domains *d, const struct row *row)
{
	const struct config_domain *pub = domains_find(d, row->pub.name);

	return pub != NULL ? domains_row(pub) : NULL;
}

void change_find(struct change *ch, const struct domains *old,
		 const struct domains *now)
{
	struct losses losses = { 0 };

	*ch = (struct change){ .old = old, .now = now };
	ch->domains_before = old->row_count;
	ch->recipients_before = old->recipient_count;
	ch->domains = now->row_count;
	ch->recipients = now->recipient_count;
	losses.of_source = mx_alloc_array(now->source_count + 1, sizeof(uint32_t));
	for (size_t i = 0; i < old->row_count; i++) {
		const struct row *heir = heir_of(now, &old->rows[i]);

		if (heir == NULL)
			change_names_add(&ch->gone, old->rows[i].pub.name);
		else
			compare_recipients(ch, &old->rows[i], heir, &losses);
	}
	for (size_t i = 0; i < now->row_count; i++)
		if (heir_of(old, &now->rows[i]) == NULL)
			change_names_add(&ch->come, now->rows[i].pub.name);
	for (size_t i = 0; i < losses.count; i++)
		refuse_loss(ch, &losses.rows[i]);
	free(losses.rows);
	free(losses.of_source);
}

void change_mail(struct change *ch, struct span domain, uint64_t messages)
{
	if (messages == 0 || domains_find(ch->old, domain) == NULL ||
	    domains_find(ch->now, domain) != NULL)
		return;
	change_names_add(&ch->waiting, domain);
	ch->messages += messages;
}

/* ---- The verdict ---- */

static void refuse(struct change *ch, struct buf *text)
{
	config_fail(&ch->refusals, ch->now->path, 0, "%s",
		    buf_cstr(text));
	buf_fini(text);
}

void change_mail_unknown(struct change *ch, struct span why)
{
	struct buf text = { 0 };

	buf_adds(&text, "whether mail waits for the ");
	change_count(&text, ch->gone.count, "domain");
	buf_addf(&text, " that would go is not known: %.*s", SPAN_ARG(why));
	refuse(ch, &text);
}

static void refuse_gone(struct change *ch)
{
	struct buf text = { 0 };

	change_count(&text, ch->gone.count, "domain");
	buf_adds(&text, " of ");
	add_number(&text, ch->domains_before);
	buf_adds(&text, " would go: ");
	change_names_text(&text, &ch->gone);
	if (ch->domains == 0)
		buf_adds(&text, "; the allowlist is empty");
	refuse(ch, &text);
}

static void refuse_waiting(struct change *ch)
{
	struct buf text = { 0 };

	change_waiting(&text, ch->messages);
	buf_adds(&text, " for ");
	change_count(&text, ch->waiting.count, "domain");
	buf_adds(&text, " that would go: ");
	change_names_text(&text, &ch->waiting);
	refuse(ch, &text);
}

void change_end(struct change *ch)
{
	if (ch->gone.count > ch->domains_before / 2)
		refuse_gone(ch);
	if (ch->messages > 0)
		refuse_waiting(ch);
	config_errors_end(&ch->refusals);
}

void change_fini(struct change *ch)
{
	buf_fini(&ch->gone.names);
	buf_fini(&ch->come.names);
	buf_fini(&ch->waiting.names);
	config_errors_fini(&ch->refusals);
}

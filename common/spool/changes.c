#include "common/spool/changes.h"

#include "common/spool/content.h"
#include "common/spool/note.h"
#include "common/spool/touch.h"

/*
 * Message by message.  What is noted of one (note.h), when it is touched and
 * not sent:
 *
 *   nothing --first content--> absent --gone--> nothing
 *      |                         |
 *      |                         +--picked, to be sent--> part
 *      +--more content--> part
 *      +--units---------> rows   (it is to go: so too)
 *
 * and what was sent without an answer: part, from the beginning on, in the
 * place of absent.
 */

/* All that was touched of a message. */
struct group {
	uint64_t id;
	const struct touch *all;
	size_t n;
	bool is_first, is_whole, is_draft_gone, has_content, has_units;
	uint64_t at; /* its first content that is touched */
	bool exists, is_gone;
};

/* ---- One message ---- */

static void look_at(struct group *g, const struct touch *one)
{
	g->is_first = g->is_first || one->kind == TOUCH_FIRST;
	g->is_whole = g->is_whole || one->kind == TOUCH_WHOLE;
	g->is_draft_gone = g->is_draft_gone || one->kind == TOUCH_DRAFT_GONE;
	g->has_units = g->has_units || one->kind == TOUCH_UNIT;
	if (one->kind != TOUCH_CONTENT)
		return;
	g->has_content = true;
	/* what goes in front is sent with the message in any case */
	if ((one->offset == 0 || one->offset >= CONTENT_BASE) &&
	    one->offset < g->at)
		g->at = one->offset;
}

/* The group that begins there, and where it ends. */
static enum mx_err group_at(struct packing *k, const struct touches *t,
			    size_t *i, struct group *g)
{
	enum mx_err err;

	*g = (struct group){ .id = t->all[*i].id,
			     .all = &t->all[*i],
			     .at = UINT64_MAX };
	for (; *i < t->n && t->all[*i].id == g->id; (*i)++, g->n++)
		look_at(g, &t->all[*i]);
	err = pack_exists(k, g->id, &g->exists);
	g->is_gone = g->is_draft_gone ||
		     (!g->exists && (g->is_whole || g->has_units));
	return err;
}

static enum mx_err pack_group(struct packing *k, const struct touches *t,
			      const struct group *g)
{
	enum mx_err err = MX_OK;

	if (g->is_gone) {
		pack_gone(k,
			  g->is_draft_gone ? PARCEL_DRAFT_GONE : PARCEL_GONE,
			  g->id, SPAN_LIT(""));
		return MX_OK;
	}
	for (size_t i = 0; i < g->n && err == MX_OK; i++) {
		const struct touch *one = &g->all[i];

		if (one->kind == TOUCH_CONTENT)
			err = pack_content(k, g->id, one->offset);
		else if (one->kind == TOUCH_UNIT && !g->is_whole)
			err = pack_unit(k, g->id, touch_domain(t, one));
		else if (one->kind == TOUCH_WHOLE)
			err = pack_message(k, g->id);
	}
	return err;
}

/* What the mirror has, of what was not noted before. */
static struct note first_note(const struct batch *b, const struct group *g,
			      bool was_sent)
{
	if ((g->is_first || g->id > b->mirror.walked) && !was_sent)
		return (struct note){ .kind = g->is_gone ? NOTE_NONE
							 : NOTE_ABSENT };
	if (g->is_first)
		return (struct note){ .kind = NOTE_PART };
	if (g->is_draft_gone)
		return (struct note){ .kind = NOTE_DRAFT_GONE };
	if (g->has_content)
		return (struct note){ .kind = NOTE_PART, .at = g->at };
	return (struct note){ .kind = NOTE_ROWS };
}

static struct note next_note(const struct batch *b, const struct group *g,
			     struct note old, bool was_sent)
{
	switch (old.kind) {
	case NOTE_NONE:
		return first_note(b, g, was_sent);
	case NOTE_ABSENT: /* nobody will ask for it */
		if (g->is_gone)
			old.kind = NOTE_NONE;
		break;
	case NOTE_PART:
		if (g->at < old.at)
			old.at = g->at;
		break;
	case NOTE_DRAFT_GONE: /* taken over: its content was there before */
		if (g->is_whole)
			old.kind = NOTE_ROWS;
		break;
	case NOTE_ROWS:
		break;
	}
	return old;
}

static enum mx_err note_group(struct batch *b, const struct group *g,
			      struct note old, bool was_sent)
{
	struct note to = next_note(b, g, old, was_sent);

	if (to.kind == NOTE_NONE && old.kind == NOTE_NONE)
		return MX_OK;
	return note_put(b, g->id, to);
}

/* ---- All of them ---- */

static enum mx_err see_hold(struct batch *b, struct packing *k,
			    struct span domain)
{
	uint64_t stamp;
	enum mx_err err = note_hold_get(b->sp, b->txn, domain, &stamp);

	if (err != MX_OK)
		return err;
	return k->out != NULL && stamp == 0 ? pack_hold(k, domain)
					    : note_hold_put(b, domain);
}

enum mx_err changes_see(struct batch *b, struct packing *k, struct touches *t,
			bool was_sent)
{
	enum mx_err err = MX_OK;
	struct group g;

	touches_sort(t);
	for (size_t i = 0; i < t->n && err == MX_OK;) {
		struct note old;

		if (t->all[i].kind == TOUCH_HOLD) {
			err = see_hold(b, k, touch_domain(t, &t->all[i++]));
			continue;
		}
		err = group_at(k, t, &i, &g);
		old = (struct note){ .kind = NOTE_NONE };
		if (err == MX_OK && b->has_notes)
			err = note_get(b->sp, b->txn, g.id, &old);
		if (err != MX_OK)
			break;
		err = k->out != NULL && old.kind == NOTE_NONE
			      ? pack_group(k, t, &g)
			      : note_group(b, &g, old, was_sent);
	}
	return err;
}

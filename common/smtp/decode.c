/*
 * Inbound content.  What the peer sends is an octet stream in which exactly
 * one sequence ends the data; what we keep is canonical lines.
 *
 *               CR             LF              "."        other
 *  START     -> CR             CRLF, bare   -> DOT     -> TEXT
 *  TEXT      -> CR             CRLF, bare      text       text
 *  CR        -> CR, bare    -> START, CRLF  -> TEXT, bare (CR is a space)
 *  DOT       -> DOT_CR      -> TEXT, CRLF, bare  -> TEXT (dot is dropped)
 *  DOT_CR    -> CR, bare    -> the end      -> TEXT, bare (CR is a space)
 *
 * A bare LF leads to TEXT, not to START: the octet behind it is at the start
 * of a line of ours, never of a line of RFC 5321 section 2.3.8, so a dot
 * there is neither dropped nor half an end of data.  BDAT knows TEXT and CR
 * only, with TEXT in the place of START.
 *
 * A CR is held back (as state, not as bytes) until its successor is known.
 */
#include "common/smtp/content.h"

#include "common/base/assert.h"

enum { START, TEXT, CR, DOT, DOT_CR }; /* START is 0: a fresh decoder */

enum {
	ROOM_FOR_ONE = 2, /* what one step puts out at most: CR LF */
	WINDOW = 1024,	  /* longer than a line may be (section 4.5.3.1.6) */
};

struct output {
	char *at;
	size_t room;
};

static void put(struct output *o, struct span s)
{
	if (s.n == 0)
		return;
	MX_ASSERT(s.n <= o->room);
	memcpy(o->at, s.p, s.n);
	o->at += s.n;
	o->room -= s.n;
}

/*
 * How many bytes at the front of s pass as they are: up to the first wrong
 * line end, or a line end that is not complete yet.  dots: stop in front of a
 * line that begins with a dot, too.  *state says where that leaves us.
 *
 * A line is looked for in a window: else each of many bare CRs in a stream
 * without LF would cost a search through all that follows.
 */
static size_t plain_run(struct span s, bool dots, int *state)
{
	size_t at = 0;

	while (at < s.n) {
		const char *line = s.p + at;
		size_t left = s.n - at < WINDOW ? s.n - at : WINDOW;
		const char *lf, *cr;

		if (dots && *state == START && *line == '.')
			return at;
		lf = memchr(line, '\n', left);
		cr = memchr(line, '\r',
			    lf != NULL ? (size_t)(lf - line) : left);
		if (lf != NULL && cr != NULL && cr + 1 == lf) {
			*state = START;
			at += (size_t)(lf + 1 - line);
			continue;
		}
		if (cr != NULL)
			left = (size_t)(cr - line);
		else if (lf != NULL)
			left = (size_t)(lf - line);
		if (left > 0)
			*state = TEXT;
		at += left;
		if (cr != NULL || lf != NULL)
			return at;
	}
	return at;
}

/* Give out the CR held back as a space: it was none of a CR LF. */
static void repair_cr(struct smtp_decoder *d, struct output *o)
{
	d->bare = true;
	put(o, SPAN_LIT(" "));
}

static void line_end(struct smtp_decoder *d, struct output *o, int next)
{
	put(o, SPAN_LIT("\r\n"));
	d->bare |= next != START;
	d->state = next;
}

/* One byte that is not plain; false: it is not used, look at it again. */
static bool step(struct smtp_decoder *d, char c, bool dots, struct output *o)
{
	switch (d->state) {
	case CR:
		if (c == '\n') {
			line_end(d, o, START);
			return true;
		}
		repair_cr(d, o);
		d->state = TEXT;
		return false;
	case DOT:
		d->state = c == '\r' ? DOT_CR : TEXT;
		return c == '\r';
	case DOT_CR: /* not LF: decode() has looked */
		repair_cr(d, o);
		d->state = TEXT;
		return false;
	default: /* START, TEXT: plain_run stopped here */
		if (c == '\r')
			d->state = CR;
		else if (c == '\n')
			line_end(d, o, TEXT);
		else if (dots && d->state == START && c == '.')
			d->state = DOT;
		else
			return false;
		return true;
	}
}

/* Decode until the end, or *in or room is used up; true at the end. */
static bool decode(struct smtp_decoder *d, struct span *in, bool dots,
		   struct output *o)
{
	while (in->n > 0 && o->room >= ROOM_FOR_ONE) {
		if (d->state == DOT_CR && in->p[0] == '\n') {
			*in = span_skip(*in, 1);
			d->state = START;
			return true;
		}
		if (step(d, in->p[0], dots, o)) {
			*in = span_skip(*in, 1);
		} else if (d->state == START || d->state == TEXT) {
			struct span run = { in->p,
					    in->n < o->room ? in->n : o->room };

			run.n = plain_run(run, dots, &d->state);
			put(o, run);
			*in = span_skip(*in, run.n);
		}
	}
	return false;
}

bool smtp_decode_data(struct smtp_decoder *d, struct span *in, char *dst,
		      size_t room, size_t *used)
{
	struct output o = { dst, room };
	bool end = decode(d, in, true, &o);

	*used = room - o.room;
	return end;
}

void smtp_decode_bdat(struct smtp_decoder *d, struct span *in, char *dst,
		      size_t room, size_t *used)
{
	struct output o = { dst, room };

	decode(d, in, false, &o);
	*used = room - o.room;
}

size_t smtp_decode_end(struct smtp_decoder *d, char dst[static 4])
{
	struct output o = { dst, 4 };

	if (d->state == CR)
		repair_cr(d, &o);
	d->state = START;
	return 4 - o.room;
}

/*
 * The header section line by line: the name of each field byte by byte, the
 * rest of the line in one piece.
 *
 *  LINE -> NAME -> (BLANK ->) VALUE or REST -> LINE ... -> EMPTY -> BODY
 */
#include "common/mail/header.h"

#include "common/base/utf8.h"

enum {
	LINE,  /* at the start of a line */
	NAME,  /* in a field's name */
	BLANK, /* behind the name, before its colon (obs-optional) */
	VALUE, /* in a value we read */
	REST,  /* in a value we do not read */
	EMPTY, /* CR at the start of a line */
	BODY,
};

/* Which value is read: how far that of TLS-Required agrees with "No", or the
 * identifier of Message-ID. */
enum { OTHER_FIELD, NOTHING, N, NO, DIFFERENT, MSGID };

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool name_is(const struct mail_scan *s, const char *name)
{
	return span_ieq(span_of(s->name, s->length), span_str(name));
}

/* A field is known to be over when the next line does not continue it. */
static void end_field(struct mail_scan *s)
{
	if (s->value == NO)
		s->tls_required_no = true;
	s->value = OTHER_FIELD;
}

static void begin_body(struct mail_scan *s)
{
	end_field(s);
	s->done = true;
	s->state = BODY;
}

static void begin_value(struct mail_scan *s)
{
	s->any = true;
	s->state = REST;
	if (name_is(s, "Received")) {
		s->received++;
	} else if (name_is(s, "TLS-Required")) {
		s->value = NOTHING;
		s->state = VALUE;
	} else if (s->msgid_n == 0 && name_is(s, "Message-ID")) {
		s->value = MSGID;
		s->state = VALUE;
	}
}

/* Control bytes are the log's to escape. */
static void add_to_msgid(struct mail_scan *s, char c)
{
	if (s->msgid_n < sizeof(s->msgid) && c != '\r' && !is_blank(c))
		s->msgid[s->msgid_n++] = c;
}

static void add_to_name(struct mail_scan *s, char c)
{
	/* one too long is none of ours, whatever it ends with */
	if (s->length < sizeof(s->name))
		s->name[s->length++] = c;
}

/* Field names are printable ASCII without the colon, RFC 5322 section 2.2. */
static bool is_name_byte(char c)
{
	return c > 32 && c < 127 && c != ':';
}

/* False: c begins no line of a header section. */
static bool begin_line(struct mail_scan *s, char c)
{
	if (is_blank(c)) { /* the field goes on, if there is one */
		s->state = s->value != OTHER_FIELD ? VALUE : REST;
		return s->any;
	}
	if (c == '\r') {
		s->state = EMPTY;
		return true;
	}
	if (!is_name_byte(c))
		return false;
	end_field(s);
	s->length = 0;
	add_to_name(s, c);
	s->state = NAME;
	return true;
}

/* "From me Mon Jan 1": what mailbox files put in front of a message */
static bool is_mailbox_line(const struct mail_scan *s, char c)
{
	return s->state == BLANK && !s->any && c != ':' && !is_blank(c) &&
	       name_is(s, "From");
}

static bool in_name(struct mail_scan *s, char c)
{
	if (c == ':')
		begin_value(s);
	else if (is_blank(c))
		s->state = BLANK;
	else if (s->state == NAME && is_name_byte(c))
		add_to_name(s, c);
	else
		return false;
	return true;
}

static void in_value(struct mail_scan *s, char c)
{
	if (c == '\n')
		s->state = LINE;
	else if (s->value == MSGID)
		add_to_msgid(s, c);
	else if (s->value == NOTHING && ascii_lower(c) == 'n')
		s->value = N;
	else if (s->value == N && ascii_lower(c) == 'o')
		s->value = NO;
	else if (s->value == N || (c != '\r' && !is_blank(c)))
		s->value = DIFFERENT;
}

static struct span skip_rest(struct mail_scan *s, struct span content)
{
	size_t lf = span_find(content, '\n');

	if (lf < content.n)
		s->state = LINE;
	return span_skip(content, lf + 1);
}

/* One byte, or the rest of the line. */
static struct span scan_some(struct mail_scan *s, struct span content)
{
	char c = content.p[0];
	bool header = true;

	switch (s->state) {
	case LINE:
		header = begin_line(s, c);
		break;
	case NAME:
	case BLANK:
		if (is_mailbox_line(s, c)) {
			s->state = REST;
			return content;
		}
		header = in_name(s, c);
		break;
	case VALUE:
		in_value(s, c);
		break;
	case REST:
		return skip_rest(s, content);
	default: /* EMPTY: the LF behind it */
		header = false;
	}
	if (!header) {
		begin_body(s);
		return content; /* this byte is the body's already */
	}
	return span_skip(content, 1);
}

void mail_scan_feed(struct mail_scan *s, struct span content)
{
	while (content.n > 0 && s->state != BODY)
		content = scan_some(s, content);
}

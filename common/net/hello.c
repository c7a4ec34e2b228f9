#include "common/net/hello.h"

#include <openssl/ssl.h>

/* Of the header of a record: type, version (2), length (2). */
static void take_header(struct hello_watch *w, unsigned char byte)
{
	if (w->header == 0)
		w->type = byte;
	w->record = w->record << 8 | byte;
	w->header++;
	if (w->header == 3)
		w->record = 0;
	else if (w->header == SSL3_RT_HEADER_LENGTH && w->record == 0)
		w->header = 0;
}

/* Of a message, which may begin and end anywhere in a record.  False: it is a
 * ClientHello, and too large. */
static bool take_message(struct hello_watch *w, unsigned char byte)
{
	if (w->message > 0) {
		w->is_whole = --w->message == 0 || w->is_whole;
		return true;
	}
	w->head[w->head_n] = byte;
	if (++w->head_n < sizeof(w->head))
		return true;
	w->head_n = 0;
	w->message =
		(size_t)w->head[1] << 16 | (size_t)w->head[2] << 8 | w->head[3];
	if (w->message == 0 || w->head[0] != SSL3_MT_CLIENT_HELLO)
		w->is_whole = true;
	return w->head[0] != SSL3_MT_CLIENT_HELLO || w->message <= HELLO_MAX;
}

bool hello_watch(struct hello_watch *w, struct span in)
{
	for (size_t i = 0; i < in.n; i++) {
		unsigned char byte = (unsigned char)in.p[i];

		if (w->header < SSL3_RT_HEADER_LENGTH) {
			take_header(w, byte);
			continue;
		}
		if (--w->record == 0)
			w->header = 0;
		if (w->type == SSL3_RT_HANDSHAKE && !take_message(w, byte))
			return false;
	}
	return true;
}

bool hello_is_partial(const struct hello_watch *w)
{
	return w->type == SSL3_RT_HANDSHAKE && !w->is_whole;
}

static size_t record_length(struct span in)
{
	const unsigned char *p = (const unsigned char *)in.p;

	return SSL3_RT_HEADER_LENGTH + ((size_t)p[3] << 8 | p[4]);
}

bool hello_is_answered(struct span in)
{
	while (in.n >= SSL3_RT_HEADER_LENGTH) {
		const size_t n = record_length(in);

		if (in.n < n)
			return false;
		if (in.p[0] != SSL3_RT_CHANGE_CIPHER_SPEC)
			return true;
		in = span_skip(in, n);
	}
	return false;
}

#include "common/control/control.h"

#include "common/base/assert.h"

enum mx_err control_decode(struct span *in, json_t **out)
{
	size_t end = span_find(*in, '\n');
	struct span line = { in->p, end };

	*out = NULL;
	if (end > CONTROL_LINE_MAX)
		return MX_EINVAL;
	if (end == in->n) /* no more than that is read ahead */
		return end < CONTROL_LINE_MAX ? MX_EBUSY : MX_EINVAL;
	*in = span_skip(*in, end + 1);
	*out = json_loadb(line.p != NULL ? line.p : "", line.n,
			  JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(*out))
		return MX_OK;
	json_decref(*out);
	*out = NULL;
	return MX_EINVAL;
}

static int add_piece(const char *p, size_t n, void *arg)
{
	buf_add(arg, span_of(p, n));
	return 0;
}

void control_encode(struct buf *out, json_t *object)
{
	MX_ASSERT(json_is_object(object));
	MX_ASSERT(json_dump_callback(object, add_piece, out, JSON_COMPACT) ==
		  0);
	buf_addc(out, '\n');
	json_decref(object);
}

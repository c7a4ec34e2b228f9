#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/bytes.h"
#include "common/spool/mirror.h"

/*
 * An item:
 *
 *   kind:1 id:8 offset:8 domain:str state:str row:4 bytes   (str: length:2)
 *
 * It lives in memory only, so there is no version, and what does not decode is
 * our own fault.
 */
enum { ITEM_FIXED = 1 + 8 + 8 + 2 + 2 + 4 };

struct parcel {
	struct buf items;
	size_t count;
};

struct parcel *parcel_new(void)
{
	return mx_alloc(sizeof(struct parcel));
}

void parcel_free(struct parcel **parcel)
{
	struct parcel *p = *parcel;

	*parcel = NULL;
	if (p == NULL)
		return;
	buf_fini(&p->items);
	free(p);
}

void parcel_add(struct parcel *p, const struct parcel_item *item)
{
	char *to = buf_reserve(&p->items, ITEM_FIXED + item->domain.n +
						  item->state.n + item->row.n);
	char *end = to;

	MX_ASSERT(item->row.n <= UINT32_MAX);
	end = bytes_put(end, item->kind, 1);
	end = bytes_put(end, item->id, 8);
	end = bytes_put(end, item->offset, 8);
	end = bytes_put_span(end, item->domain);
	end = bytes_put_span(end, item->state);
	end = bytes_put(end, item->row.n, 4);
	if (item->row.n > 0)
		memcpy(end, item->row.p, item->row.n);
	p->items.n += (size_t)(end - to) + item->row.n;
	p->count++;
}

size_t parcel_bytes(const struct parcel *p)
{
	return p->items.n;
}

size_t parcel_count(const struct parcel *p)
{
	return p->count;
}

void parcel_cut(struct parcel *p, size_t bytes, size_t count)
{
	MX_ASSERT(bytes <= p->items.n && count <= p->count);
	p->items.n = bytes;
	p->count = count;
}

bool parcel_next(const struct parcel *p, size_t *pos, struct parcel_item *out)
{
	struct bytes_in in = { span_skip(buf_span(&p->items), *pos), false };

	if (in.left.n == 0)
		return false;
	out->kind = (enum parcel_kind)bytes_get(&in, 1);
	out->id = bytes_get(&in, 8);
	out->offset = bytes_get(&in, 8);
	out->domain = bytes_get_span(&in);
	out->state = bytes_get_span(&in);
	out->row = bytes_get_n(&in, bytes_get(&in, 4));
	MX_ASSERT(!in.bad);
	*pos = p->items.n - in.left.n;
	return true;
}


#include "common/base/assert.h"
#include "daemon/mirror/scribe_priv.h"

/*
 * libpq cannot COPY in a pipeline.  Rows as binary arrays that the server
 * unnests cost about the same, and leave room for what COPY has not: replacing
 * a row that is there.
 */

enum column {
	GONE_ID,
	UNIT_GONE_ID,
	UNIT_GONE_DOMAIN,
	DRAFT_GONE_ID,
	CONTENT_ID,
	CONTENT_AT,
	CONTENT_DATA,
	MESSAGE_ID,
	MESSAGE_ROW,
	UNIT_ID,
	UNIT_DOMAIN,
	UNIT_STATE,
	UNIT_ROW,
	HOLD_GONE_DOMAIN,
	HOLD_DOMAIN,
	HOLD_ROW,
	COLUMNS,
};

/* clang-format off */
/* Which part of an item goes where; in the order of their columns. */
static const struct {
	enum column first;
	const char *parts; /* i id, o offset, d domain, s state, r row */
} places[] = {
	[PARCEL_GONE] =       { GONE_ID, "i" },
	[PARCEL_UNIT_GONE] =  { UNIT_GONE_ID, "id" },
	[PARCEL_DRAFT_GONE] = { DRAFT_GONE_ID, "i" },
	[PARCEL_CONTENT] =    { CONTENT_ID, "ior" },
	[PARCEL_MESSAGE] =    { MESSAGE_ID, "ir" },
	[PARCEL_UNIT] =       { UNIT_ID, "idsr" },
	[PARCEL_HOLD_GONE] =  { HOLD_GONE_DOMAIN, "d" },
	[PARCEL_HOLD] =       { HOLD_DOMAIN, "dr" },
};

/* What is sent, in this order, if there is a row for it: what is gone first,
 * then content, and the message that it is of.  A message has no units but
 * those that come with it. */
static const struct {
	enum sql_id id;
	enum column first;
	size_t count;
} orders[] = {
	{ SQL_GONE_MESSAGE, GONE_ID, 1 },
	{ SQL_GONE_UNIT,    GONE_ID, 1 },
	{ SQL_GONE_CONTENT, GONE_ID, 1 },
	{ SQL_UNIT_GONE,    UNIT_GONE_ID, 2 },
	{ SQL_DRAFT_GONE,   DRAFT_GONE_ID, 1 },
	{ SQL_GONE_UNIT,    MESSAGE_ID, 1 },
	{ SQL_CONTENT,      CONTENT_ID, 3 },
	{ SQL_MESSAGE,      MESSAGE_ID, 2 },
	{ SQL_UNIT,         UNIT_ID, 4 },
	{ SQL_HOLD_GONE,    HOLD_GONE_DOMAIN, 1 },
	{ SQL_HOLD,         HOLD_DOMAIN, 2 },
};
/* clang-format on */

static void add_part(struct array *a, char part, const struct parcel_item *i)
{
	if (part == 'i')
		array_add_int(a, (int64_t)i->id);
	else if (part == 'o')
		array_add_int(a, (int64_t)i->offset);
	else
		array_add_bytes(a, part == 'd'	 ? i->domain
				   : part == 's' ? i->state
						 : i->row);
}

static void sort_out(const struct parcel *p, struct array *columns)
{
	struct parcel_item item;
	size_t pos = 0;

	for (size_t k = 0; k < COUNT(places); k++)
		for (size_t i = 0; places[k].parts[i] != '\0'; i++)
			array_init(&columns[places[k].first + i],
				   strchr("io", places[k].parts[i]) != NULL
					   ? ARRAY_INT8
					   : ARRAY_BYTEA);
	while (parcel_next(p, &pos, &item))
		for (size_t i = 0; places[item.kind].parts[i] != '\0'; i++)
			add_part(&columns[places[item.kind].first + i],
				 places[item.kind].parts[i], &item);
}

enum mx_err scribe_send(struct scribe *s, enum sql_id fence,
			const struct parcel *p, uint64_t seq)
{
	struct array columns[COLUMNS];
	enum mx_err err;

	sort_out(p, columns);
	db_begin(s->db);
	scribe_fence(s, fence, seq);
	for (size_t i = 0; i < COUNT(orders); i++) {
		struct array *first = &columns[orders[i].first];
		struct param params[1 + 4] = { PARAM_INT(s->id.owner) };

		if (first->count == 0)
			continue;
		for (size_t k = 0; k < orders[i].count; k++)
			params[1 + k] = PARAM_ARRAY(first + k);
		db_send(s->db, orders[i].id, params);
	}
	err = db_commit(s->db, scribe_timeout(s));
	for (size_t i = 0; i < COLUMNS; i++)
		buf_fini(&columns[i].bytes);
	return err;
}

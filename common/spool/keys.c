#include "common/spool/keys.h"

#include "common/base/assert.h"
#include "common/spool/bytes.h"

bool key_domain_is_valid(struct span domain)
{
	return domain.n <= KEY_DOMAIN_MAX &&
	       (domain.n == 0 || memchr(domain.p, '\0', domain.n) == NULL);
}

static void add(struct key *k, uint64_t v, size_t n)
{
	MX_ASSERT(k->n + n <= KEY_CAP);
	bytes_put((char *)k->b + k->n, v, n);
	k->n += n;
}

static void add_domain(struct key *k, struct span domain)
{
	MX_ASSERT(domain.n <= KEY_DOMAIN_MAX && k->n + domain.n < KEY_CAP);
	if (domain.n > 0)
		memcpy(k->b + k->n, domain.p, domain.n);
	k->n += domain.n;
	k->b[k->n++] = '\0';
}

/* Times before 1970 do not occur; they would sort behind all others. */
static uint64_t time_of(int64_t ms)
{
	return ms > 0 ? (uint64_t)ms : 0;
}

void key_message(struct key *k, uint64_t id)
{
	k->n = 0;
	add(k, id, 8);
}

void key_content(struct key *k, uint64_t id, uint64_t offset)
{
	k->n = 0;
	add(k, id, 8);
	add(k, offset, 8);
}

void key_unit(struct key *k, uint64_t id, struct span domain)
{
	k->n = 0;
	add(k, id, 8);
	add_domain(k, domain);
}

void key_recipient(struct key *k, uint64_t id, struct span domain,
		   uint32_t number)
{
	key_unit(k, id, domain);
	add(k, number, 4);
}

void key_ready(struct key *k, struct span domain, uint64_t id)
{
	k->n = 0;
	add_domain(k, domain);
	add(k, id, 8);
}

void key_deferred(struct key *k, int64_t due_ms, struct span domain,
		  uint64_t id)
{
	k->n = 0;
	add(k, time_of(due_ms), 8);
	add_domain(k, domain);
	add(k, id, 8);
}

void key_expiry(struct key *k, int64_t at_ms, uint64_t id, struct span domain,
		enum expiry_kind kind)
{
	k->n = 0;
	add(k, time_of(at_ms), 8);
	add(k, id, 8);
	add_domain(k, domain);
	add(k, kind, 1);
}

void key_garbage(struct key *k, enum garbage_kind kind, uint64_t id)
{
	k->n = 0;
	add(k, kind, 1);
	add(k, id, 8);
}

void key_domain(struct key *k, struct span domain)
{
	k->n = 0;
	add_domain(k, domain);
}

static struct span get_domain(struct bytes_in *in)
{
	struct span s;

	if (in->bad || span_find(in->left, '\0') == in->left.n ||
	    span_find(in->left, '\0') > KEY_DOMAIN_MAX) {
		in->bad = true;
		return (struct span){ "", 0 };
	}
	s = bytes_get_n(in, span_find(in->left, '\0'));
	bytes_get(in, 1);
	return s;
}

static int64_t get_time(struct bytes_in *in)
{
	uint64_t v = bytes_get(in, 8);

	in->bad = in->bad || v > INT64_MAX;
	return in->bad ? 0 : (int64_t)v;
}

bool key_message_parse(struct span key, uint64_t *id)
{
	struct bytes_in in = { key, false };

	*id = bytes_get(&in, 8);
	return bytes_end(&in);
}

bool key_content_parse(struct span key, uint64_t *id, uint64_t *offset)
{
	struct bytes_in in = { key, false };

	*id = bytes_get(&in, 8);
	*offset = bytes_get(&in, 8);
	return bytes_end(&in);
}

bool key_recipient_parse(struct span key, uint64_t *id, struct span *domain,
			 uint32_t *number)
{
	struct bytes_in in = { key, false };

	*id = bytes_get(&in, 8);
	*domain = get_domain(&in);
	*number = (uint32_t)bytes_get(&in, 4);
	return bytes_end(&in);
}

bool key_ready_parse(struct span key, struct span *domain, uint64_t *id)
{
	struct bytes_in in = { key, false };

	*domain = get_domain(&in);
	*id = bytes_get(&in, 8);
	return bytes_end(&in);
}

bool key_deferred_parse(struct span key, int64_t *due_ms, struct span *domain,
			uint64_t *id)
{
	struct bytes_in in = { key, false };

	*due_ms = get_time(&in);
	*domain = get_domain(&in);
	*id = bytes_get(&in, 8);
	return bytes_end(&in);
}

bool key_expiry_parse(struct span key, int64_t *at_ms, uint64_t *id,
		      struct span *domain, enum expiry_kind *kind)
{
	struct bytes_in in = { key, false };
	uint64_t k;

	*at_ms = get_time(&in);
	*id = bytes_get(&in, 8);
	*domain = get_domain(&in);
	k = bytes_get(&in, 1);
	*kind = k <= EXPIRY_PARKED ? (enum expiry_kind)k : EXPIRY_END;
	return bytes_end(&in) && k <= EXPIRY_PARKED;
}

bool key_garbage_parse(struct span key, enum garbage_kind *kind, uint64_t *id)
{
	struct bytes_in in = { key, false };
	uint64_t k = bytes_get(&in, 1);

	*kind = k == GARBAGE_OPEN ? GARBAGE_OPEN : GARBAGE_DEAD;
	*id = bytes_get(&in, 8);
	return bytes_end(&in) && k <= GARBAGE_OPEN;
}

bool key_domain_parse(struct span key, struct span *domain)
{
	struct bytes_in in = { key, false };

	*domain = get_domain(&in);
	return bytes_end(&in);
}

/* Keyed hashes in place of addresses; the key lies in the spool. */
#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/smtp/address.h"
#include "daemon/known/known_priv.h"

static const char fact[] = "known:key";

void key_read_secret(struct known *k)
{
	struct buf value = { 0 };

	if (spool_fact_get(k->spool, span_str(fact), &value) == MX_OK &&
	    value.n == sizeof(k->secret)) {
		memcpy(&k->secret, value.p, sizeof(k->secret));
	} else {
		k->secret = (struct siphash_key){ random_secret(),
						  random_secret() };
		spool_fact_put(k->spool, span_str(fact),
			       span_of((const char *)&k->secret,
				       sizeof(k->secret)));
	}
	buf_fini(&value);
}

static struct known_key as_key(uint64_t n)
{
	struct known_key key;

	for (size_t i = sizeof(key.b); i > 0; i--) {
		key.b[i - 1] = (unsigned char)(n & 0xff);
		n >>= 8;
	}
	return key;
}

struct known_key key_of(struct known *k, struct span domain, struct span local)
{
	buf_reset(&k->text);
	buf_add(&k->text, domain);
	buf_addc(&k->text, '\0');
	smtp_local_canon(&k->text, local);
	return as_key(siphash(k->secret, buf_span(&k->text)));
}

uint64_t key_destination(const struct known *k, struct span route_key)
{
	uint64_t n;

	if (route_key.n == 0)
		return 0;
	n = siphash(k->secret, route_key);
	return n != 0 ? n : 1;
}

void key_nobody(struct known *k, struct span domain, int64_t now_ms,
		struct buf *out)
{
	buf_reset(&k->text);
	buf_addf(&k->text, "nobody %" PRId64 " %.*s", now_ms / DAYS(1),
		 SPAN_ARG(domain));
	buf_addf(out, "nobody-%016" PRIx64,
		 siphash(k->secret, buf_span(&k->text)));
}

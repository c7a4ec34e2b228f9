/* Keys of the tables: built and taken apart in one place. */
#ifndef MX_SPOOL_KEYS_H
#define MX_SPOOL_KEYS_H

#include "common/base/span.h"

/*
 * Numbers are big-endian, so that LMDB's byte order is their order; a domain
 * ends with NUL, so that no name is a prefix of another's rows.
 *
 *   message    id:8
 *   content    id:8 offset:8          see content.h
 *   recipient  id:8 domain NUL number:4
 *   ready      domain NUL id:8
 *   parked     domain NUL id:8
 *   deferred   due:8 domain NUL id:8
 *   expiry     at:8 id:8 domain NUL kind:1
 *   garbage    kind:1 id:8
 *   domain     domain NUL
 *   target, fact, meta                the name itself
 *   mirror-absent, mirror-stale       id:8
 *   mirror-holds                      domain NUL
 *
 * Example, the ready row of message 0x0198a5c3f2100001 for example.com:
 *   65 78 61 6d 70 6c 65 2e 63 6f 6d 00  01 98 a5 c3 f2 10 00 01
 */
enum {
	KEY_DOMAIN_MAX = 255,
	KEY_NAME_MAX = 500, /* LMDB takes 511 */
	KEY_CAP = 8 + 8 + KEY_DOMAIN_MAX + 1 + 8,
};

enum expiry_kind {
	EXPIRY_END = 0,
	EXPIRY_WARNING = 1,
	EXPIRY_PARKED = 2 /* the first of its parked recipients is due */
};

/* Content whose draft is still open, or that is only to be deleted. */
enum garbage_kind { GARBAGE_DEAD = 0, GARBAGE_OPEN = 1 };

struct key {
	size_t n;
	unsigned char b[KEY_CAP];
};

/* May this name stand in a key?  No NUL, not too long; empty is fine. */
bool key_domain_is_valid(struct span domain);

void key_message(struct key *k, uint64_t id);
void key_content(struct key *k, uint64_t id, uint64_t offset);
/* The common beginning of a unit's recipients, and one of them. */
void key_unit(struct key *k, uint64_t id, struct span domain);
void key_recipient(struct key *k, uint64_t id, struct span domain,
		   uint32_t number);
void key_ready(struct key *k, struct span domain, uint64_t id);
void key_deferred(struct key *k, int64_t due_ms, struct span domain,
		  uint64_t id);
void key_expiry(struct key *k, int64_t at_ms, uint64_t id, struct span domain,
		enum expiry_kind kind);
void key_garbage(struct key *k, enum garbage_kind kind, uint64_t id);
void key_domain(struct key *k, struct span domain);

/* Each is false unless the whole span is such a key.  Domains borrow. */
bool key_message_parse(struct span key, uint64_t *id);
bool key_content_parse(struct span key, uint64_t *id, uint64_t *offset);
bool key_recipient_parse(struct span key, uint64_t *id, struct span *domain,
			 uint32_t *number);
bool key_ready_parse(struct span key, struct span *domain, uint64_t *id);
bool key_deferred_parse(struct span key, int64_t *due_ms, struct span *domain,
			uint64_t *id);
bool key_expiry_parse(struct span key, int64_t *at_ms, uint64_t *id,
		      struct span *domain, enum expiry_kind *kind);
bool key_garbage_parse(struct span key, enum garbage_kind *kind, uint64_t *id);
bool key_domain_parse(struct span key, struct span *domain);

#endif

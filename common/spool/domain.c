#include "common/spool/domain.h"

#include <stdio.h>

#include "common/spool/find.h"
#include "common/spool/look.h"
#include "common/spool/scope.h"

bool spool_is_held_unlisted(const struct spool_domain *d)
{
	return d->is_held && d->is_unlisted &&
	       strcmp(d->hold_reason, SPOOL_UNLISTED) == 0;
}

bool domain_is_kept(const struct spool_domain *d)
{
	return d->units > 0 || (d->is_held && !spool_is_held_unlisted(d));
}

uint64_t spool_domain_waiting(const struct spool_domain *d)
{
	return d->bytes > d->refused_bytes ? d->bytes - d->refused_bytes : 0;
}

static bool has_pattern_row(struct spool *sp, MDB_txn *txn)
{
	struct scan p;
	bool found;

	if (scan_open(&p, &sp->tables[T_DOMAIN], txn) != MX_OK)
		return false;
	found = scan_seek_name(&p, SPAN_LIT("*.")) == MX_OK &&
		scope_is_pattern(p.key);
	scan_close(&p);
	return found;
}

void domain_look_for_patterns(struct spool *sp, MDB_txn *txn)
{
	atomic_store(&sp->has_patterns, has_pattern_row(sp, txn));
}

/* Is any pattern of domains held?  Nearly always none is.  A reader is not
 * told when one is. */
static bool has_patterns(struct spool *sp, MDB_txn *txn)
{
	return sp->is_reader ? has_pattern_row(sp, txn)
			     : atomic_load(&sp->has_patterns);
}

/* The hold of a pattern above the domain, if there is one. */
static enum mx_err pattern_hold(struct spool *sp, MDB_txn *txn,
				struct span domain, struct spool_domain *d)
{
	struct span name = domain;
	struct domain_row row;
	struct buf pattern = { 0 };
	enum mx_err err = MX_OK;

	while (err == MX_OK && scope_next_pattern(&name, &pattern)) {
		err = find_domain(sp, txn, buf_span(&pattern), &row);
		if (err == MX_OK && row.d.is_held) {
			d->is_held = true;
			memcpy(d->hold_reason, row.d.hold_reason,
			       sizeof(d->hold_reason));
			snprintf(d->hold_pattern, sizeof(d->hold_pattern), "%s",
				 buf_cstr(&pattern));
			break;
		}
		err = err == MX_ENOENT ? MX_OK : err;
	}
	buf_fini(&pattern);
	return err;
}

enum mx_err domain_read(struct spool *sp, MDB_txn *txn, struct span domain,
			struct domain_row *row)
{
	enum mx_err err;

	*row = (struct domain_row){ 0 };
	if (!key_domain_is_valid(domain))
		return MX_ENOENT;
	err = find_domain(sp, txn, domain, row);
	MX_ASSERT(domain.n < sizeof(row->d.name));
	memcpy(row->d.name, domain.p, domain.n);
	row->d.name[domain.n] = '\0';
	if (!row->d.is_held && (err == MX_OK || err == MX_ENOENT) &&
	    has_patterns(sp, txn)) {
		enum mx_err above = pattern_hold(sp, txn, domain, &row->d);

		if (above != MX_OK)
			err = above;
		else if (row->d.is_held)
			err = MX_OK;
	}
	/* A hold of the domain is one flag, whatever its rows say. */
	if (row->d.is_held) {
		row->d.held = row->d.units;
		row->d.ready = row->d.deferred = row->d.refused = 0;
	}
	return err;
}

enum mx_err spool_domain_get(struct spool *sp, struct span domain,
			     struct spool_domain *out)
{
	struct domain_row row;
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	if (err != MX_OK)
		return err;
	err = domain_read(sp, txn, domain, &row);
	*out = row.d;
	read_end(sp);
	return err;
}

#include <openssl/evp.h>

#include "common/base/log.h"
#include "common/spool/arrears.h"
#include "common/spool/content.h"
#include "common/spool/find.h"
#include "common/spool/look.h"
#include "common/spool/pack.h"

/* For the mirror's own thread: rows out of a view. */

static enum mx_err is_draft(struct packing *k, uint64_t id, bool *yes)
{
	struct span how;
	uint64_t at;
	enum mx_err err = content_next_open(k->sp, k->txn, id, &at, &how);

	*yes = err == MX_OK && at == id && how.n == 0;
	return err == MX_ENOENT ? MX_OK : err;
}

/* What stands in front of the first piece, when that was sent before. */
static enum mx_err pack_prefix(struct packing *k, uint64_t id)
{
	uint64_t at = 0;
	bool is_all;

	return pack_contents(k, id, &at, 0, &is_all);
}

/* Content from m->at on, and the rows behind its end. */
static enum mx_err export_part(struct packing *k, struct mark *m, size_t max,
			       bool exists)
{
	const bool is_begun = m->at > 0;
	bool is_all = true;
	enum mx_err err = MX_OK;

	if (!is_begun)
		pack_gone(k, exists ? PARCEL_GONE : PARCEL_DRAFT_GONE, m->id,
			  SPAN_LIT(""));
	if (m->at < UINT64_MAX)
		err = pack_contents(k, m->id, &m->at, max, &is_all);
	if (err != MX_OK || !is_all)
		return err;
	m->is_whole = true;
	if (exists && is_begun)
		err = pack_prefix(k, m->id);
	return err == MX_OK && exists ? pack_message(k, m->id) : err;
}

static enum mx_err export_one(struct packing *k, struct mark *m, size_t max)
{
	bool exists, is_open = false;
	enum mx_err err = pack_exists(k, m->id, &exists);

	if (err == MX_OK && !exists && m->kind == NOTE_PART)
		err = is_draft(k, m->id, &is_open);
	if (err != MX_OK)
		return err;
	if (m->kind == NOTE_PART && (exists || is_open))
		return export_part(k, m, max, exists);
	m->is_whole = true;
	if (m->kind == NOTE_DRAFT_GONE)
		pack_gone(k, PARCEL_DRAFT_GONE, m->id, SPAN_LIT(""));
	else if (!exists)
		pack_gone(k, PARCEL_GONE, m->id, SPAN_LIT(""));
	else
		err = pack_message(k, m->id);
	return err;
}

/* What is damaged stays noted, and keeps nothing else. */
static enum mx_err export_or_skip(struct packing *k, struct mark *m, size_t max)
{
	const size_t bytes = parcel_bytes(k->out);
	const size_t count = parcel_count(k->out);
	const uint64_t at = m->at;
	enum mx_err err = export_one(k, m, max);

	if (err != MX_ECORRUPT)
		return err;
	log_error(EV_SPOOL, LOG_ID("mid", m->id),
		  LOG_STR("what", "cannot be mirrored"),
		  LOG_STR("error", mx_strerror(err)));
	parcel_cut(k->out, bytes, count);
	m->at = at;
	m->is_whole = false;
	m->is_damaged = true;
	return MX_OK;
}

static enum mx_err export_all(struct packing *k, struct arrears *a, size_t max)
{
	enum mx_err err = MX_OK;

	for (size_t i = 0; i < a->hold_n && err == MX_OK; i++)
		err = pack_hold(k, span_of(a->holds[i].domain, a->holds[i].n));
	for (a->exported = 0; a->exported < a->n && err == MX_OK;) {
		if (a->exported > 0 && parcel_bytes(k->out) >= max)
			break;
		err = export_or_skip(k, &a->marks[a->exported], max);
		a->exported += err == MX_OK;
	}
	return err;
}

enum mx_err spool_mirror_export(struct spool *view, struct arrears *a,
				size_t max_bytes, struct parcel *out)
{
	struct packing k = { .sp = view, .out = out };
	enum mx_err err = read_begin(view, &k.txn);

	if (err != MX_OK)
		return err;
	err = export_all(&k, a, max_bytes);
	read_end(view);
	buf_fini(&k.row);
	return err;
}

/* ---- Comparing ---- */

/* Of the units that stand in a parcel. */
static uint64_t hash_of(const struct parcel *p)
{
	unsigned char md[EVP_MAX_MD_SIZE] = { 0 };
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	struct parcel_item item;
	uint64_t hash = 0;
	size_t pos = 0;

	MX_ASSERT(c != NULL && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
	while (parcel_next(p, &pos, &item)) {
		if (item.kind != PARCEL_UNIT)
			continue;
		EVP_DigestUpdate(c, item.state.p, item.state.n);
		EVP_DigestUpdate(c, item.row.p, item.row.n);
	}
	MX_ASSERT(EVP_DigestFinal_ex(c, md, NULL) == 1);
	EVP_MD_CTX_free(c);
	for (size_t i = 0; i < sizeof(hash); i++)
		hash = hash << 8 | md[i];
	return hash;
}

static enum mx_err page_one(struct packing *k, uint64_t id,
			    spool_mirror_page_cb *cb, void *arg, bool *go_on)
{
	struct note note;
	bool is_noted;
	enum mx_err err = note_get(k->sp, k->txn, id, &note);

	k->out = parcel_new();
	if (err == MX_OK && note.kind == NOTE_NONE)
		err = pack_message(k, id);
	is_noted = note.kind != NOTE_NONE || err == MX_ECORRUPT;
	if (err == MX_OK || err == MX_ECORRUPT) {
		*go_on = cb(id, is_noted ? 0 : hash_of(k->out), is_noted, arg);
		err = MX_OK; /* what is damaged keeps nothing else */
	}
	parcel_free(&k->out);
	return err;
}

enum mx_err spool_mirror_page(struct spool *view, uint64_t after, uint64_t upto,
			      spool_mirror_page_cb *cb, void *arg)
{
	struct packing k = { .sp = view };
	struct envelope env = { .id = after };
	bool go_on = true;
	enum mx_err err = read_begin(view, &k.txn);

	if (err != MX_OK)
		return err;
	while (err == MX_OK && go_on && env.id < upto) {
		err = find_next_message(view, k.txn, env.id + 1, &env);
		if (err == MX_OK && env.id > upto)
			break;
		if (err == MX_OK)
			err = page_one(&k, env.id, cb, arg, &go_on);
	}
	read_end(view);
	buf_fini(&k.row);
	return err == MX_ENOENT ? MX_OK : err;
}

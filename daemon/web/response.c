#include "daemon/web/response.h"

#include "common/base/assert.h"

/* clang-format off */
static const struct {
	const char *name, *value;
} headers[] = {
	{ "Content-Security-Policy",
	  "default-src 'none'; style-src 'self'; img-src 'self'; "
	  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Cache-Control", "no-store" },
	{ "Vary", "Accept" },
	/* one request each: a connection lasts for so long at most */
	{ "Connection", "close" },
};
/* clang-format on */

struct MHD_Response *response_new(struct buf *text, const char *content_type)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(
		text->n, text->p, MHD_RESPMEM_MUST_FREE);

	MX_ASSERT(r != NULL); /* no memory */
	*text = (struct buf){ 0 };
	MHD_add_response_header(r, "Content-Type", content_type);
	for (size_t i = 0; i < COUNT(headers); i++)
		MHD_add_response_header(r, headers[i].name, headers[i].value);
	return r;
}

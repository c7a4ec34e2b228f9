#include "daemon/tables/origin.h"

#include <curl/curl.h>

bool origin_add(struct buf *out, const char *url)
{
	char *scheme = NULL, *host = NULL, *port = NULL;
	const size_t at = out->n;
	CURLU *u = curl_url();
	bool ok = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_PORT, &port,
			       CURLU_DEFAULT_PORT) == CURLUE_OK;

	if (ok)
		buf_addf(out, "%s://%s:%s", scheme, host, port);
	for (size_t i = at; i < out->n; i++)
		out->p[i] = ascii_lower(out->p[i]);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return ok;
}

bool origin_is_same(const char *a, const char *b)
{
	struct buf x = { 0 }, y = { 0 };
	bool same = origin_add(&x, a) && origin_add(&y, b) &&
		    span_eq(buf_span(&x), buf_span(&y));

	buf_fini(&x);
	buf_fini(&y);
	return same;
}

#include "config/allow/url.h"

#include "common/smtp/address.h"
#include "common/net/addr.h"

static const struct span scheme = { "https://", 8 };

enum { URL_MAX = 2000 };

bool url_is_one(struct span word)
{
	size_t colon = span_find(word, ':');

	if (colon == 0 || !span_starts(span_skip(word, colon),
				       SPAN_LIT("://")))
		return false;
	for (size_t i = 0; i < colon; i++)
		if (!(ascii_lower(word.p[i]) >= 'a' &&
		      ascii_lower(word.p[i]) <= 'z'))
			return false;
	return true;
}

/* "user:password@host:port" and the path behind it. */
static struct span authority_of(struct span url)
{
	struct span rest = span_skip(url, scheme.n);

	for (size_t i = 0; i < rest.n; i++)
		if (rest.p[i] == '/' || rest.p[i] == '?' || rest.p[i] == '#')
			return (struct span){ rest.p, i };
	return rest;
}

/* Of "user:password@host:port". */
static struct span place_of(struct span authority)
{
	for (size_t i = authority.n; i > 0; i--)
		if (authority.p[i - 1] == '@')
			return span_skip(authority, i);
	return authority;
}

static bool is_port(struct span text)
{
	uint64_t port;

	return span_u64(text, &port) && port >= 1 && port <= 65535;
}

static bool is_host(struct span host)
{
	struct buf canon = { 0 };
	bool ok = smtp_domain_canon(&canon, host) == MX_OK;

	buf_fini(&canon);
	return ok;
}

/* host[:port], or [address][:port] */
static bool is_place(struct span place)
{
	struct span host, port = place;
	struct net_addr addr;

	if (span_starts(place, SPAN_LIT("["))) {
		host = span_cut(&port, ']');
		return net_addr_parse(span_skip(host, 1), &addr) == MX_OK &&
		       (port.n == 0 ? place.p[place.n - 1] == ']'
				    : port.p[0] == ':' &&
					      is_port(span_skip(port, 1)));
	}
	host = span_cut(&port, ':');
	return (is_host(host) || net_addr_parse(host, &addr) == MX_OK) &&
	       (port.n > 0 ? is_port(port) : host.n == place.n);
}

const char *url_wrong(struct span url)
{
	if (span_istarts(url, SPAN_LIT("http://")))
		return "http:// is not fetched: whoever is on the way could "
		       "add or remove recipients; write https://";
	if (!span_istarts(url, scheme))
		return "of URLs https:// alone is fetched";
	if (url.n > URL_MAX)
		return "a URL of more than 2000 characters";
	for (size_t i = 0; i < url.n; i++)
		if (url.p[i] <= ' ' || url.p[i] > '~' || url.p[i] == '#' ||
		    url.p[i] == '"' || url.p[i] == '\\')
			return "a URL holds ASCII without blanks, quotes and "
			       "#; others are written as %23";
	return is_place(place_of(authority_of(url)))
		       ? NULL
		       : "expected https://HOST/PATH or "
			 "https://USER:PASSWORD@HOST:PORT/PATH";
}

struct span url_user(struct span url)
{
	struct span authority = authority_of(url);
	struct span user = { authority.p,
			     authority.n - place_of(authority).n };

	if (user.n > 0)
		user.n--; /* the @ */
	user.n = span_find(user, ':');
	return user;
}

void url_show(struct buf *out, struct span url)
{
	struct span authority = authority_of(url);
	struct span place = place_of(authority);

	buf_add(out, scheme);
	buf_add(out, place);
	buf_add(out, span_skip(url, scheme.n + authority.n));
}

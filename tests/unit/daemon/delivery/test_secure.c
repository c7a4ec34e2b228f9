/* What TLS level and server come to, one row each: in clear, encrypted,
 * verified, or no mail now.  RFC 3207, RFC 7672. */
#include <criterion/criterion.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "daemon/delivery/delivery.h"
#include "tests/support/certs.h"
#include "tests/support/peer.h"

/* ---- Servers ---- */

enum kind {
	PLAIN, /* no STARTTLS */
	GOOD,  /* chain to the root, right name */
	WRONG_NAME,
	EXPIRED,
	SELF_SIGNED,
	BROKEN,	  /* 220, then no TLS */
	REFUSING, /* offers, then 454 */
	LEAVING,  /* offers, then 421 */
	INJECTED, /* bytes in clear behind the 220 */
	CUT,	  /* hangs up when first spoken to inside TLS */
	KINDS
};

static const char *const kind_names[KINDS] = {
	"plain",  "good",     "wrong name", "expired",	"self-signed",
	"broken", "refusing", "leaving",    "injected", "cut",
};

static struct ev_loop *loop;
static struct cert root, good, wrong, expired, self;
static struct tls_client_ctx *ctx;
static enum kind kind;

static const char *answer(struct peer *p, const char *line, void *arg)
{
	static bool was_broken;
	static int hellos;

	(void)arg;
	if (strncmp(line, "CONNECT", 7) == 0 && p->connections == 1)
		was_broken = false;
	if (strncmp(line, "CONNECT", 7) == 0)
		hellos = 0;
	if (kind == CUT && strncmp(line, "EHLO", 4) == 0 && ++hellos > 1)
		return PEER_CLOSE;
	if (strncmp(line, "STARTTLS", 8) != 0) {
		if (was_broken && strncmp(line, "EHLO", 4) != 0 &&
		    strncmp(line, "QUIT", 4) != 0 &&
		    strncmp(line, "CONNECT", 7) != 0)
			return PEER_CLOSE; /* a ClientHello */
		return NULL;
	}
	switch (kind) {
	case BROKEN:
		was_broken = true;
		return "220 2.0.0 go";
	case REFUSING:
		return "454 4.7.0 not now";
	case LEAVING:
		return "421 4.3.2 bye";
	case INJECTED:
		return "220 2.0.0 go\r\n250 injected";
	default:
		return NULL;
	}
}

static struct tls_server *serve(const struct cert *c)
{
	const char *cert = c->cert_path, *key = c->key_path;
	struct tls_server *t;
	struct buf why = { 0 };

	cr_assert_eq(tls_server_new(&t, &cert, &key, 1, NULL, &why), MX_OK);
	buf_fini(&why);
	return t;
}

static void setup(void)
{
	struct buf why = { 0 };

	loop = ev_loop_new(0);
	cert_make(&root, &(struct cert_spec){
				 .name = "root", .is_ca = true, .days = 30 });
	cert_make(&good, &(struct cert_spec){ .name = "good",
					      .issuer = &root,
					      .sans = "DNS:mx.example.org",
					      .days = 30 });
	cert_make(&wrong, &(struct cert_spec){ .name = "wrong",
					       .issuer = &root,
					       .sans = "DNS:other.example",
					       .days = 30 });
	cert_make(&expired, &(struct cert_spec){ .name = "expired",
						 .issuer = &root,
						 .sans = "DNS:mx.example.org",
						 .days = -1 });
	cert_make(&self, &(struct cert_spec){ .name = "self",
					      .sans = "DNS:mx.example.org",
					      .days = 30 });
	cr_assert_eq(tls_client_ctx_new(&ctx, root.cert_path, &why), MX_OK);
	buf_fini(&why);
}

static void teardown(void)
{
	tls_client_ctx_unref(&ctx);
	cert_free(&root);
	cert_free(&good);
	cert_free(&wrong);
	cert_free(&expired);
	cert_free(&self);
	certs_clean();
	ev_loop_destroy(loop);
}

TestSuite(secure, .init = setup, .fini = teardown);

/* ---- One probe ---- */

enum result { CLEAR, ENCRYPTED, VERIFIED, NO_TLS, BUSY, OTHER };

static const char *const result_names[] = { "clear",  "encrypted", "verified",
					    "no tls", "busy",	   "other" };

struct probe {
	bool is_done;
	enum result result;
	char reply[300];
};

static void on_ready(struct delivery *d, const struct smtp_ehlo *ehlo,
		     int64_t latency_ms, void *arg)
{
	struct probe *p = arg;
	const struct tls_facts *tls = delivery_tls(d);

	(void)ehlo;
	(void)latency_ms;
	p->result = tls == NULL ? CLEAR : tls->verified ? VERIFIED : ENCRYPTED;
	delivery_quit(d);
}

static void on_room(struct delivery *d, void *arg)
{
	(void)d;
	(void)arg;
}

static void on_end(struct delivery *d, const struct delivery_end *end,
		   void *arg)
{
	struct probe *p = arg;
	struct buf line = { 0 };

	(void)d;
	if (end->why == DELIVERY_TLS)
		p->result = NO_TLS;
	else if (end->why == DELIVERY_BUSY)
		p->result = BUSY;
	smtp_reply_print(&line, &end->reply);
	snprintf(p->reply, sizeof(p->reply), "%s", buf_cstr(&line));
	buf_fini(&line);
	p->is_done = true;
}

static const struct delivery_events events = { on_ready, on_room, on_end };

static enum result probe(enum kind k, const struct route_tls *tls,
			 struct probe *p)
{
	static const struct cert *const certs[KINDS] = {
		[GOOD] = &good,	      [WRONG_NAME] = &wrong,
		[EXPIRED] = &expired, [SELF_SIGNED] = &self,
		[REFUSING] = &good,   [LEAVING] = &good,
		[INJECTED] = &good,   [CUT] = &good,
	};
	struct tls_server *server = certs[k] != NULL ? serve(certs[k]) : NULL;
	struct peer_options popt = {
		.ehlo = k == PLAIN ? "PIPELINING" : "PIPELINING\nSTARTTLS",
		.reply = answer,
		.tls = server,
	};
	struct peer *peer = peer_new(loop, &popt);
	struct route route = { .refs = 100 };
	struct route_host host = { .name = SPAN_LIT("mx.example.org"),
				   .tls = *tls };
	struct delivery_options opt = {
		.loop = loop,
		.helo = SPAN_LIT("mx2.example.net"),
		.local_name = SPAN_LIT("mx2.example.net"),
		.host = &host,
		.route = &route,
		.target = &peer->addr,
		.tls = ctx,
		.connect_timeout_ms = 2000,
		.reply_timeout_ms = 2000,
	};

	bool never = false;

	kind = k;
	*p = (struct probe){ .result = OTHER };
	delivery_new(&opt, &events, p);
	cr_assert(peer_run(loop, &p->is_done, 10000), "%s: no end",
		  kind_names[k]);
	peer_run(loop, &never, 20); /* lingering sockets */
	peer_free(&peer);
	if (server != NULL)
		tls_server_unref(&server);
	return p->result;
}

static struct span host_name = { "mx.example.org", 14 };

static void tls_of(struct route_tls *t, enum tls_level level)
{
	*t = (struct route_tls){ .level = level,
				 .sni = host_name,
				 .names = &host_name,
				 .name_count = 1 };
}

/* Five policies, ten kinds of primary. */
Test(secure, matrix)
{
	static const struct {
		enum tls_level level;
		enum result expected[KINDS];
	} rows[] = {
		/*                  plain   good       wrong      expired
		 * self       broken  refusing leaving injected cut */
		{ TLS_LEVEL_NONE,
		  { CLEAR, CLEAR, CLEAR, CLEAR, CLEAR, CLEAR, CLEAR, CLEAR,
		    CLEAR, CLEAR } },
		{ TLS_LEVEL_MAY,
		  { CLEAR, ENCRYPTED, ENCRYPTED, ENCRYPTED, ENCRYPTED, CLEAR,
		    CLEAR, BUSY, CLEAR, CLEAR } },
		{ TLS_LEVEL_MUST,
		  { NO_TLS, ENCRYPTED, ENCRYPTED, ENCRYPTED, ENCRYPTED, NO_TLS,
		    NO_TLS, BUSY, NO_TLS, OTHER } },
		{ TLS_LEVEL_VERIFY,
		  { NO_TLS, VERIFIED, NO_TLS, NO_TLS, NO_TLS, NO_TLS, NO_TLS,
		    BUSY, NO_TLS, OTHER } },
	};

	for (size_t r = 0; r < COUNT(rows); r++)
		for (int k = 0; k < KINDS; k++) {
			struct route_tls tls;
			struct probe p;
			enum result got;

			tls_of(&tls, rows[r].level);
			got = probe((enum kind)k, &tls, &p);
			cr_expect_eq(got, rows[r].expected[k],
				     "level %d, %s: %s (%s)", rows[r].level,
				     kind_names[k], result_names[got], p.reply);
		}
}

/* RFC 7672: usage 3 looks at the key alone, not at name, date or chain. */
Test(secure, dane)
{
	static const struct {
		enum kind kind;
		bool is_right;
		enum result expected;
	} rows[] = {
		{ SELF_SIGNED, true, VERIFIED }, { EXPIRED, true, VERIFIED },
		{ WRONG_NAME, true, VERIFIED },	 { GOOD, false, NO_TLS },
		{ SELF_SIGNED, false, NO_TLS },	 { PLAIN, true, NO_TLS },
		{ BROKEN, true, NO_TLS },
	};
	static const struct cert *const certs[KINDS] = {
		[PLAIN] = &good,      [BROKEN] = &good,
		[GOOD] = &good,	      [WRONG_NAME] = &wrong,
		[EXPIRED] = &expired, [SELF_SIGNED] = &self,
	};

	for (size_t r = 0; r < COUNT(rows); r++) {
		unsigned char digest[32], *spki = NULL;
		int n = i2d_X509_PUBKEY(
			X509_get_X509_PUBKEY(certs[rows[r].kind]->x509), &spki);
		struct tls_tlsa tlsa = { 3, 1, 1,
					 span_of(digest, sizeof(digest)) };
		struct route_tls tls;
		struct probe p;
		enum result got;

		SHA256(spki, (size_t)n, digest);
		OPENSSL_free(spki);
		if (!rows[r].is_right)
			digest[0] ^= 1;
		tls_of(&tls, TLS_LEVEL_DANE);
		tls.is_dane = true;
		tls.tlsa = &tlsa;
		tls.tlsa_count = 1;
		got = probe(rows[r].kind, &tls, &p);
		cr_expect_eq(got, rows[r].expected, "%s: %s (%s)",
			     kind_names[rows[r].kind], result_names[got],
			     p.reply);
	}
}

/* "dane" without a record to hold on to is no permission to go without. */
Test(secure, dane_without_tlsa_waits)
{
	struct route_tls tls;
	struct probe p;

	tls_of(&tls, TLS_LEVEL_DANE);
	cr_assert_eq(probe(GOOD, &tls, &p), NO_TLS, "%s", p.reply);
}

/* The reason goes to log, status and, at last, the report. */
Test(secure, the_reason_is_told)
{
	struct route_tls tls;
	struct probe p;

	tls_of(&tls, TLS_LEVEL_VERIFY);
	probe(EXPIRED, &tls, &p);
	cr_expect(strstr(p.reply, "4.7.5") != NULL &&
			  strstr(p.reply, "expired") != NULL,
		  "%s", p.reply);
	probe(PLAIN, &tls, &p);
	cr_expect(strstr(p.reply, "4.7.4") != NULL, "%s", p.reply);
}

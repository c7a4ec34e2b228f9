/* Certificates made at test time. */
#ifndef MX_TESTS_CERTS_H
#define MX_TESTS_CERTS_H

#include <openssl/x509.h>
#include <stdbool.h>

struct cert {
	X509 *x509;
	EVP_PKEY *key;
	char cert_path[128]; /* PEM: this one, then its issuers but the root */
	char key_path[128];
};

struct cert_spec {
	const char *name;	   /* CN, and of the files */
	const char *sans;	   /* "DNS:mx.example.org,DNS:b"; NULL: none */
	const struct cert *issuer; /* NULL: self-signed */
	bool is_ca;
	bool is_rsa; /* else ECDSA P-256 */
	int days;    /* of validity from now; < 0: expired */
};

/* Files go to a new directory under $TMPDIR, one a process. */
void cert_make(struct cert *out, const struct cert_spec *spec);
void cert_free(struct cert *c);
/* Remove the directory. */
void certs_clean(void);

#endif

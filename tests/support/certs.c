#include "tests/support/certs.h"

#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[64];

static void add_ext(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	cr_assert_not_null(e, "%s", value);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

static X509 *make_x509(const struct cert_spec *spec, EVP_PKEY *key)
{
	static long serial = 1000;
	const struct cert *issuer = spec->issuer;
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	long day = 24 * 60 * 60;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
				   (const unsigned char *)spec->name, -1, -1,
				   0);
	X509_set_issuer_name(
		x, issuer != NULL ? X509_get_subject_name(issuer->x509) : name);
	X509_gmtime_adj(X509_getm_notBefore(x), -30 * day);
	X509_gmtime_adj(X509_getm_notAfter(x), spec->days * day);
	X509_set_pubkey(x, key);
	add_ext(x, NID_basic_constraints,
		spec->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (spec->sans != NULL)
		add_ext(x, NID_subject_alt_name, spec->sans);
	cr_assert_gt(
		X509_sign(x, issuer != NULL ? issuer->key : key, EVP_sha256()),
		0);
	return x;
}

static FILE *create(char *path, size_t size, const char *name, const char *kind)
{
	snprintf(path, size, "%s/%s.%s", dir, name, kind);
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f, "%s", path);
	return f;
}

void cert_make(struct cert *out, const struct cert_spec *spec)
{
	if (dir[0] == '\0') {
		const char *tmp = getenv("TMPDIR");

		snprintf(dir, sizeof(dir), "%s/mx20-certs-XXXXXX",
			 tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
		cr_assert_not_null(mkdtemp(dir));
	}
	out->key = spec->is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	cr_assert_not_null(out->key);
	out->x509 = make_x509(spec, out->key);

	FILE *f = create(out->cert_path, sizeof(out->cert_path), spec->name,
			 "pem");

	PEM_write_X509(f, out->x509);
	if (spec->issuer != NULL)
		PEM_write_X509(f, spec->issuer->x509);
	fclose(f);
	f = create(out->key_path, sizeof(out->key_path), spec->name, "key");
	PEM_write_PrivateKey(f, out->key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

void cert_free(struct cert *c)
{
	X509_free(c->x509);
	EVP_PKEY_free(c->key);
	if (c->cert_path[0] != '\0')
		unlink(c->cert_path);
	if (c->key_path[0] != '\0')
		unlink(c->key_path);
	*c = (struct cert){ 0 };
}

void certs_clean(void)
{
	if (dir[0] != '\0')
		rmdir(dir);
	dir[0] = '\0';
}

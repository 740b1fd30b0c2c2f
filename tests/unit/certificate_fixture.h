/*
 * Certificates made for a test, and a server that has them as the master would have read them.
 */
#ifndef UNIT_CERTIFICATE_FIXTURE_H
#define UNIT_CERTIFICATE_FIXTURE_H

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "shm/secrets.h"
#include "worker/io/tls_certificate.h"
#include "worker/io/tls_server.h"

#define HOUR 3600

struct made {
	X509 *certificate;
	EVP_PKEY *key;
};

/* Keys take their time: each kind has one of its own, and one for those who sign. */
static inline EVP_PKEY *made_key(bool rsa, bool signs)
{
	static EVP_PKEY *keys[2][2];

	if (!keys[rsa][signs])
		keys[rsa][signs] = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	EVP_PKEY_up_ref(keys[rsa][signs]);
	return keys[rsa][signs];
}

/* `names`: its alternative names, "DNS:a,DNS:*.b", or NULL. `by`: who signs it, NULL itself. Good from `from` to `to` seconds from now. */
static inline struct made make_certificate(const char *name, const char *names, bool rsa, const struct made *by, long from, long to)
{
	struct made m = { X509_new(), made_key(rsa, !names) };
	X509_NAME *subject = X509_get_subject_name(m.certificate);
	X509_EXTENSION *more = names ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names) :
				       X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

	X509_set_version(m.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(m.certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(m.certificate), from);
	X509_gmtime_adj(X509_getm_notAfter(m.certificate), to);
	if (name)
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(m.certificate, by ? X509_get_subject_name(by->certificate) : subject);
	X509_set_pubkey(m.certificate, m.key);
	X509_add_ext(m.certificate, more, -1);
	X509_EXTENSION_free(more);
	X509_sign(m.certificate, by ? by->key : m.key, EVP_sha256());
	return m;
}

static inline void made_free(struct made *m)
{
	X509_free(m->certificate);
	EVP_PKEY_free(m->key);
}

/* What PEM makes of one of both, as a secret of the kind. */
static inline void add_made(int fd, const char *kind, const char *from, X509 *certificate, EVP_PKEY *key)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text;
	long len;

	if (certificate)
		PEM_write_bio_X509(out, certificate);
	if (key)
		PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(out, &text);
	(void)!secrets_add(fd, kind, from, text, (size_t)len);
	BIO_free(out);
}

static inline void add_pair(int fd, const struct made *m)
{
	add_made(fd, SECRET_TLS_CERTIFICATE, "cert.pem", m->certificate, NULL);
	add_made(fd, SECRET_TLS_KEY, "key.pem", NULL, m->key);
}

/* Of all that was added; the memfd is closed. */
static inline struct tls_server *made_server(int fd, const struct settings *settings, const struct tickets_shm *tickets, char why[TLS_WHY_MAX])
{
	struct tls_server *server;
	struct secrets secrets;

	if (secrets_map(&secrets, fd) < 0)
		return NULL;
	server = tls_server_create(settings, &secrets, tickets, why);
	secrets_unmap(&secrets);
	close(fd);
	return server;
}

#endif

/*
 * Certificates and keys out of PEM. See tls_certificate.h.
 */
#include "worker/io/tls_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FITS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)

__attribute__((format(printf, 2, 3))) static void *fail(char why[TLS_WHY_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, TLS_WHY_MAX, format, args);
	va_end(args);
	ERR_clear_error();
	return NULL;
}

/* In words: of the last error. */
static const char *last_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason ? reason : "no memory";
}

/* Whether PEM has no more of these blocks. (Any other error than that is one.) */
static bool at_end(void)
{
	unsigned long error = ERR_peek_last_error();

	return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/* All certificates of the file, in its order. */
static STACK_OF(X509) *read_all(const struct secret *file, char why[TLS_WHY_MAX])
{
	BIO *in = BIO_new_mem_buf(file->bytes, (int)file->len);
	STACK_OF(X509) *all = sk_X509_new_null();
	X509 *x;

	ERR_clear_error();
	while (in && all && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL)
		if (!sk_X509_push(all, x)) {
			X509_free(x);
			break;
		}
	BIO_free(in);
	if (all && at_end() && sk_X509_num(all) > 0) {
		ERR_clear_error();
		return all;
	}
	if (all && at_end())
		fail(why, "%s: there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)", file->from);
	else
		fail(why, "%s: a certificate in it can't be read: %s", file->from, last_error());
	sk_X509_pop_free(all, X509_free);
	return NULL;
}

/* (Nobody is there who could be asked.) */
static int no_password(char *buf, int size, int writes, void *asked)
{
	(void)buf;
	(void)size;
	(void)writes;
	*(bool *)asked = true;
	return -1;
}

static EVP_PKEY *read_key(const struct secret *file, char why[TLS_WHY_MAX])
{
	BIO *in = BIO_new_mem_buf(file->bytes, (int)file->len);
	bool asked = false;
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, &asked) : NULL;

	BIO_free(in);
	if (key)
		return key;
	if (asked)
		return fail(why, "%s: the key is encrypted with a password: take one that is not", file->from);
	return fail(why, "%s: there is no key in it that can be read (PEM, -----BEGIN PRIVATE KEY-----)", file->from);
}

struct tls_certificate *tls_certificate_read(const struct secret *certificate, const struct secret *key, char why[TLS_WHY_MAX])
{
	struct tls_certificate *c = calloc(1, sizeof(*c));

	if (!c)
		return fail(why, "no memory");
	snprintf(c->from, sizeof(c->from), "%s", certificate->from);
	c->chain = read_all(certificate, why);
	if (!c->chain)
		goto err;
	c->leaf = sk_X509_shift(c->chain);
	c->key = read_key(key, why);
	if (!c->key)
		goto err;
	if (X509_check_private_key(c->leaf, c->key) != 1) {
		fail(why, "%s: it is not the key of the certificate in %s", key->from, certificate->from);
		goto err;
	}
	return c;
err:
	tls_certificate_free(c);
	return NULL;
}

void tls_certificate_free(struct tls_certificate *c)
{
	if (!c)
		return;
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	free(c);
}

int tls_certificate_dates(const struct tls_certificate *c, time_t now, char why[TLS_WHY_MAX])
{
	const ASN1_TIME *wrong = X509_cmp_time(X509_get0_notAfter(c->leaf), &now) < 0 ? X509_get0_notAfter(c->leaf) :
				 X509_cmp_time(X509_get0_notBefore(c->leaf), &now) > 0 ? X509_get0_notBefore(c->leaf) : NULL;
	struct tm tm;
	char when[64] = "?";

	if (!wrong)
		return 0;
	if (ASN1_TIME_to_tm(wrong, &tm))
		strftime(when, sizeof(when), "%F %T UTC", &tm);
	fail(why, "%s: the certificate %s %s", c->from, wrong == X509_get0_notAfter(c->leaf) ? "has expired on" : "is not good before", when);
	return -1;
}

int tls_certificate_fits(const struct tls_certificate *c, const char *name)
{
	char *by = NULL;
	int fits = 0;

	if (X509_check_host(c->leaf, name, 0, FITS, &by) == 1)
		fits = by && *by == '*' ? 1 : 2;
	OPENSSL_free(by);
	return fits;
}

static const ASN1_OCTET_STRING *names_of(const X509 *x)
{
	int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);

	return at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(x, at));
}

bool tls_certificate_is_other_kind(const struct tls_certificate *a, const struct tls_certificate *b)
{
	const ASN1_OCTET_STRING *of_a = names_of(a->leaf), *of_b = names_of(b->leaf);

	if (EVP_PKEY_get_id(a->key) == EVP_PKEY_get_id(b->key))
		return false;
	if (!of_a || !of_b)
		return !of_a && !of_b && X509_NAME_cmp(X509_get_subject_name(a->leaf), X509_get_subject_name(b->leaf)) == 0;
	return ASN1_OCTET_STRING_cmp(of_a, of_b) == 0;
}

/* ---- clients ---- */

struct tls_authorities *tls_authorities_read(const struct secret *file, char why[TLS_WHY_MAX])
{
	struct tls_authorities *a = calloc(1, sizeof(*a));
	STACK_OF(X509) *all = read_all(file, why);

	if (!a || !all)
		goto err;
	a->store = X509_STORE_new();
	a->names = sk_X509_NAME_new_null();
	if (!a->store || !a->names)
		goto no_memory;
	for (int i = 0; i < sk_X509_num(all); i++) {
		X509 *x = sk_X509_value(all, i);
		X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));

		if (!name || !sk_X509_NAME_push(a->names, name) || X509_STORE_add_cert(a->store, x) != 1)
			goto no_memory;
	}
	sk_X509_pop_free(all, X509_free);
	return a;
no_memory:
	fail(why, "%s: no memory", file->from);
err:
	sk_X509_pop_free(all, X509_free);
	tls_authorities_free(a);
	return NULL;
}

void tls_authorities_free(struct tls_authorities *a)
{
	if (!a)
		return;
	X509_STORE_free(a->store);
	sk_X509_NAME_pop_free(a->names, X509_NAME_free);
	free(a);
}

/* As UTF-8 without control characters. Its length, 0: it is none, or too long. */
static size_t text_of(const ASN1_STRING *string, char *dst, size_t size)
{
	unsigned char *text = NULL;
	int len = string ? ASN1_STRING_to_UTF8(&text, string) : 0;
	size_t n = len > 0 && (size_t)len < size ? (size_t)len : 0;

	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] == 0x7f)
			n = 0;
	memcpy(dst, text ? (char *)text : "", n);
	dst[n] = '\0';
	OPENSSL_free(text);
	return n;
}

static size_t common_name(X509 *certificate, char *dst, size_t size)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return at < 0 ? 0 : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), dst, size);
}

size_t tls_certificate_name(X509 *certificate, char *dst, size_t size)
{
	size_t len = common_name(certificate, dst, size);
	GENERAL_NAMES *others;

	if (len)
		return len;
	others = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(others) && !len; i++) {
		int kind;
		const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(others, i), &kind);

		if (kind == GEN_EMAIL || kind == GEN_DNS || kind == GEN_URI)
			len = text_of(value, dst, size);
	}
	GENERAL_NAMES_free(others);
	return len;
}

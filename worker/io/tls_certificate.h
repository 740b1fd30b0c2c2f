/*
 * Certificates and keys out of PEM (RFC 7468): read by the master, who refuses what is wrong, and by workers, who use them.
 */
#ifndef WORKER_IO_TLS_CERTIFICATE_H
#define WORKER_IO_TLS_CERTIFICATE_H

#include <openssl/x509.h>
#include <time.h>

#include "shm/secrets.h"

#define TLS_WHY_MAX 512

struct tls_certificate {
	char from[256];			/* the file */
	X509 *leaf;
	STACK_OF(X509) *chain;		/* behind it, as it stands in the file; NULL: nothing */
	EVP_PKEY *key;
};

/* The certificate of one file and the key of another, which fits. NULL, and in why[] which file is wrong. */
struct tls_certificate *tls_certificate_read(const struct secret *certificate, const struct secret *key, char why[TLS_WHY_MAX]);
void tls_certificate_free(struct tls_certificate *c);

/* Whether it is good now. 0, or -1 and in why[] since or until when it is not; why[] then begins with the file. */
int tls_certificate_dates(const struct tls_certificate *c, time_t now, char why[TLS_WHY_MAX]);

/* Whether it is for this name: 0 no, 1 by a name with a *, 2 by the name itself. */
int tls_certificate_fits(const struct tls_certificate *c, const char *name);

/* Whether both are for the same names, with keys of different kinds. */
bool tls_certificate_is_other_kind(const struct tls_certificate *a, const struct tls_certificate *b);

/* Those who sign clients' certificates. */
struct tls_authorities {
	X509_STORE *store;
	STACK_OF(X509_NAME) *names;
};
struct tls_authorities *tls_authorities_read(const struct secret *file, char why[TLS_WHY_MAX]);
void tls_authorities_free(struct tls_authorities *a);

/* Who a client is by its certificate: its subject's common name, else its first name among the alternative ones (an address of e-mail, a name of DNS, a URI).
 * Its length, 0: it says none that fits into dst[size] and is text. */
size_t tls_certificate_name(X509 *certificate, char *dst, size_t size);

#endif

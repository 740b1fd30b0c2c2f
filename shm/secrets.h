/*
 * Secrets: what the master has read from files that workers need not be allowed to read (keys of certificates, of tokens), on its way to them. It stands in a
 * memfd, sealed when it is whole: never in a file, never in a core dump, and gone with the last process that has it open. What it is made of, and what it is
 * for, its readers know by `kind`.
 *
 *   a msgpack array [kind, from, bytes] for each, one behind the other
 */
#ifndef SHM_SECRETS_H
#define SHM_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRETS_FILE_MAX (1 << 20)	/* bytes of a file */

/* Kinds. */
#define SECRET_TLS_CERTIFICATE "tls_certificate"	/* PEM: a certificate, and the chain behind it; its key is the next one of the kind */
#define SECRET_TLS_KEY "tls_key"			/* PEM */
#define SECRET_TLS_CLIENT_CA "tls_client_ca"		/* PEM: who signs clients' certificates, which they must have */
#define SECRET_TOKEN_KEYS "token_keys"			/* packed (proto/jwt_keys.h) */
#define SECRET_TLS_CLIENT_CA_OPTIONAL "tls_client_ca_optional"	/* the same, which they may have */
#define SECRET_NATS_PASSWORD "nats_password"		/* what NATS is shown: a line, without its end, */
#define SECRET_NATS_TOKEN "nats_token"
#define SECRET_NATS_NKEY "nats_nkey"			/* a seed; */
#define SECRET_NATS_CREDENTIALS "nats_credentials"	/* a file; */
#define SECRET_NATS_CA "nats_tls_ca"			/* PEM */
#define SECRET_NATS_CERTIFICATE "nats_tls_certificate"
#define SECRET_NATS_KEY "nats_tls_key"
#define SECRET_API_KEYS "api_keys"			/* digests of keys and what they give (proto/api_keys.h) */

struct secret {
	char from[256];			/* the file's path, or what else there is to say where it came from */
	const uint8_t *bytes;		/* in the mapping: as long as that is there */
	size_t len;
};

/* ---- the master writes ---- */

/* An empty memfd, not close-on-exec. -1 with errno. */
int secrets_begin(void);
/* 0, or -1 with errno. */
int secrets_add(int fd, const char *kind, const char *from, const void *bytes, size_t len);
/* The same, of a whole file. Nothing of it is left in this process' memory. -1 with errno; EFBIG: it has more than SECRETS_FILE_MAX bytes. */
int secrets_add_file(int fd, const char *kind, const char *path);
/* Nothing can be changed any more. 0, or -1 with errno. */
int secrets_seal(int fd);

/* ---- whoever has it reads ---- */

struct secrets {
	const uint8_t *bytes;		/* mapped, locked in memory if that is allowed, in no core dump */
	size_t size;
};

/* Maps it. The descriptor stays the caller's. 0, or -1 with errno. */
int secrets_map(struct secrets *s, int fd);
void secrets_unmap(struct secrets *s);

/* The next one of a kind, behind the place *at, which is 0 at first. False: there is none. */
bool secrets_next(const struct secrets *s, const char *kind, size_t *at, struct secret *secret);

#endif

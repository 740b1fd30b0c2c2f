/*
 * TLS records: a connection's traffic keys, and sealing and opening with them (RFC 8446 section 5, RFC 5246 section 6.2.3.3, RFC 5288, RFC 7905).
 * There is no connection object here. What a record becomes follows from keys, sequence number, type and text alone, so another process that has
 * these makes the same bytes. The ciphers are nettle's and libcrypto's; their contexts are a process's own (struct tls_crypto) and hold
 * nothing that is not keyed anew.
 */
#ifndef PROTO_TLS_RECORD_H
#define PROTO_TLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_TEXT_MAX 16384			/* bytes of text of a record */
#define TLS_HEAD 5				/* bytes of a record's header */
#define TLS_OVERHEAD_MAX (TLS_HEAD + 8 + 16)	/* what a record that we seal is longer than its text, at most */
#define TLS_RECORD_MAX (TLS_HEAD + TLS_TEXT_MAX + 256)	/* the longest record that a peer may send (1.2: + 8 + 16; 1.3: + 256) */
#define TLS_SECRET_MAX 48

enum tls_version { TLS_1_2 = 1, TLS_1_3 };
enum tls_suite { TLS_AES_128_GCM = 1, TLS_AES_256_GCM, TLS_CHACHA20_POLY1305 };

/* Content types. */
enum { TLS_CHANGE_CIPHER_SPEC = 20, TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_APPLICATION_DATA = 23 };
/* Alerts that we send. */
enum { TLS_CLOSE_NOTIFY = 0, TLS_UNEXPECTED_MESSAGE = 10, TLS_BAD_RECORD_MAC = 20, TLS_RECORD_OVERFLOW = 22, TLS_DECODE_ERROR = 50, TLS_NO_RENEGOTIATION = 100 };

/* One direction's keys, as they stand in shared memory. Whoever copies them wipes the copy (explicit_bzero). */
struct tls_keys {
	uint8_t key[32];			/* the first tls_key_len() count */
	/* 1.2 with AES-GCM: 4 bytes of salt, then 8, big-endian, to which the sequence number is added: that is the explicit nonce of what is sealed */
	uint8_t iv[12];
	uint8_t secret[TLS_SECRET_MAX];		/* 1.3: the traffic secret, from which the next generation follows */
	uint32_t generation;			/* how many KeyUpdates it has seen */
};

/* What both sides agreed on. */
struct tls_kind {
	uint8_t version, suite;			/* enum tls_version, enum tls_suite */
};

size_t tls_key_len(struct tls_kind kind);
size_t tls_overhead(struct tls_kind kind);	/* what a record that is sealed here is longer than its text */
/* Records after which keys are to be changed (1.3) or the connection is to end (1.2), far below the cipher's limit (RFC 8446 section 5.5). */
uint64_t tls_records_max(struct tls_kind kind);

struct tls_crypto;
struct tls_crypto *tls_crypto_create(void);	/* NULL: no memory */
void tls_crypto_destroy(struct tls_crypto *crypto);
/* No key is left in it: a connection has ended. NULL may be passed. */
void tls_crypto_forget(struct tls_crypto *crypto);

/*
 * Seals text[0..len), len <= TLS_TEXT_MAX, as the record number `seq` of the type, at dst: len + tls_overhead() bytes, which are returned. 0: libcrypto has
 * failed (no memory). dst and text do not overlap. (1.3: with type 0 the text ends in the type and padding of its own; tests do so.)
 */
size_t tls_seal(struct tls_crypto *crypto, struct tls_kind kind, const struct tls_keys *keys, uint64_t seq, uint8_t type, const void *text, size_t len, uint8_t *dst);

/*
 * How long the record is that begins with these bytes, header included, at most TLS_RECORD_MAX; 0: fewer than TLS_HEAD are there; < 0: -alert, it is none
 * that may come behind the peer's Finished. (So change_cipher_spec may not, of either version.)
 */
long tls_record_length(struct tls_kind kind, const uint8_t *bytes, size_t len);

/*
 * Opens the record [record, record + len), which is whole (tls_record_length() says len), as number `seq`. Its text goes to dst, which has room for len
 * bytes and does not overlap, and its type, without padding, to *type: TLS_ALERT or TLS_HANDSHAKE, neither empty, or TLS_APPLICATION_DATA. The text's
 * length (0 is one), or -alert: nothing of dst and *type counts then. (No memory is TLS_BAD_RECORD_MAC as well.)
 */
long tls_open(struct tls_crypto *crypto, struct tls_kind kind, const struct tls_keys *keys, uint64_t seq, const uint8_t *record, size_t len, void *dst, uint8_t *type);

/* ---- keys (tls_keys.c) ---- */

/* 1.3: key and iv of a traffic secret (RFC 8446 section 7.3), generation 0. `len` bytes of secret: the hash's. 0, or -1 (libcrypto, or another length). */
int tls_keys_1_3(struct tls_keys *keys, uint8_t suite, const uint8_t *secret, size_t len);
/* 1.3: the next generation of them, in place (section 7.2). The sequence number begins at 0 again: that is the caller's. 0, or -1 (libcrypto): unchanged. */
int tls_keys_next(struct tls_keys *keys, uint8_t suite);
/*
 * 1.2: both directions' keys of a master secret of 48 bytes and the randoms of 32 (RFC 5246 section 6.3). `sha384`: the suite's PRF. `nonce`: of the
 * Finished that the server has sent, record 0, its explicit nonce (AES-GCM, else not looked at); those of the next ones go on from there. (With the
 * client's keys nothing is sealed here.) 0, or -1 (libcrypto).
 */
int tls_keys_1_2(struct tls_keys *client, struct tls_keys *server, uint8_t suite, bool sha384, const uint8_t master[48], const uint8_t client_random[32],
		 const uint8_t server_random[32], const uint8_t nonce[8]);

#endif

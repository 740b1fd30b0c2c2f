/*
 * A client and a server of libssl that talk over memory, and what of their connection its records follow from: for tests in which ours go on with it.
 */
#ifndef UNIT_TLS_FIXTURE_H
#define UNIT_TLS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <nettle/base16.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "proto/tls_record.h"

#define TLS_TICKETS 2		/* that a server of 1.3 sends behind its Finished */

struct tls_pair {
	SSL_CTX *contexts[2];
	SSL *client, *server;
	struct tls_kind kind;
	struct tls_keys out, in;	/* the server's, the client's */
	uint64_t out_seq, in_seq;	/* of the records that come next */
	uint8_t secrets[2][TLS_SECRET_MAX];	/* the server's, the client's; 1.2: the master secret, the same twice */
	size_t secret_len;
	uint8_t nonces[2][8];		/* 1.2: of the server's Finished, of the client's */
};

/* A key, RSA or P-256, made once as that takes its time, and a certificate that it has signed itself. */
static inline void tls_identity(SSL_CTX *ctx, bool rsa)
{
	static EVP_PKEY *keys[2];
	EVP_PKEY *key = keys[rsa] ? keys[rsa] : (keys[rsa] = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(cert);
}

/* A line of the key log: a label, the client's random, the secret. */
static inline void tls_log(const SSL *ssl, const char *line)
{
	static const char *const labels[] = { "SERVER_TRAFFIC_SECRET_0 ", "CLIENT_TRAFFIC_SECRET_0 ", "CLIENT_RANDOM " };
	struct tls_pair *pair = SSL_get_app_data(ssl);

	for (unsigned i = 0; i < 3; i++) {
		const char *hex = strrchr(line, ' ') + 1;
		struct base16_decode_ctx base16;

		if (strncmp(line, labels[i], strlen(labels[i])) != 0)
			continue;
		for (unsigned to = i < 2 ? i : 0; to < (i < 2 ? i + 1 : 2); to++) {
			base16_decode_init(&base16);
			assert_true(strlen(hex) <= 2 * TLS_SECRET_MAX);
			assert_true(base16_decode_update(&base16, &pair->secret_len, pair->secrets[to], strlen(hex), hex));
		}
	}
}

/* All that the one has written, which is returned, is the other's to read. At most `max` bytes, which bytes[] has room for. */
static inline size_t tls_carry(SSL *from, SSL *to, uint8_t *bytes, size_t max)
{
	int n = BIO_read(SSL_get_wbio(from), bytes, (int)max);

	if (n > 0)
		assert_int_equal(BIO_write(SSL_get_rbio(to), bytes, n), n);
	return n > 0 ? (size_t)n : 0;
}

/* Of 1.2: the explicit nonce of the record that comes last, Finished. */
static inline void tls_note_nonce(uint8_t nonce[8], const uint8_t *bytes, size_t len)
{
	for (size_t at = 0, record; at + TLS_HEAD < len; at += record) {
		record = TLS_HEAD + (size_t)(bytes[at + 3] << 8 | bytes[at + 4]);
		if (at + record == len && record >= TLS_HEAD + 8 && bytes[at] == TLS_HANDSHAKE)
			memcpy(nonce, bytes + at + TLS_HEAD, 8);
	}
}

/* The handshake. `cipher`: libssl's name of a suite, of the version. The server's tickets are read by the client. */
static inline void tls_pair_open(struct tls_pair *pair, struct tls_kind kind, const char *cipher, bool rsa)
{
	int version = kind.version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
	SSL **ends[] = { &pair->server, &pair->client };
	uint8_t bytes[16384], randoms[2][32];

	*pair = (struct tls_pair){ .kind = kind };
	for (unsigned i = 0; i < 2; i++) {
		SSL_CTX *ctx = pair->contexts[i] = SSL_CTX_new(i == 0 ? TLS_server_method() : TLS_client_method());

		assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
		assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
		assert_int_equal(kind.version == TLS_1_3 ? SSL_CTX_set_ciphersuites(ctx, cipher) : SSL_CTX_set_cipher_list(ctx, cipher), 1);
		SSL_CTX_set_num_tickets(ctx, TLS_TICKETS);
		if (i == 0) {
			tls_identity(ctx, rsa);
			SSL_CTX_set_keylog_callback(ctx, tls_log);
		}
		*ends[i] = SSL_new(ctx);
		SSL_set_app_data(*ends[i], pair);
		SSL_set_bio(*ends[i], BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	}
	SSL_set_connect_state(pair->client);
	SSL_set_accept_state(pair->server);
	for (unsigned turn = 0; turn < 4; turn++) {
		SSL_do_handshake(pair->client);
		tls_note_nonce(pair->nonces[1], bytes, tls_carry(pair->client, pair->server, bytes, sizeof(bytes)));
		SSL_do_handshake(pair->server);
		tls_note_nonce(pair->nonces[0], bytes, tls_carry(pair->server, pair->client, bytes, sizeof(bytes)));
	}
	assert_true(SSL_is_init_finished(pair->client) && SSL_is_init_finished(pair->server));
	assert_int_equal(SSL_read(pair->client, bytes, 1), -1);

	if (kind.version == TLS_1_3) {
		assert_int_equal(tls_keys_1_3(&pair->out, kind.suite, pair->secrets[0], pair->secret_len), 0);
		assert_int_equal(tls_keys_1_3(&pair->in, kind.suite, pair->secrets[1], pair->secret_len), 0);
		pair->out_seq = TLS_TICKETS;
	} else {
		assert_int_equal(SSL_get_client_random(pair->server, randoms[0], 32), 32);
		assert_int_equal(SSL_get_server_random(pair->server, randoms[1], 32), 32);
		assert_int_equal(tls_keys_1_2(&pair->in, &pair->out, kind.suite, strstr(cipher, "SHA384") != NULL, pair->secrets[0], randoms[0], randoms[1], pair->nonces[0]), 0);
		pair->out_seq = pair->in_seq = 1;
	}
}

static inline void tls_pair_close(struct tls_pair *pair)
{
	SSL_free(pair->client);
	SSL_free(pair->server);
	SSL_CTX_free(pair->contexts[0]);
	SSL_CTX_free(pair->contexts[1]);
}

#endif

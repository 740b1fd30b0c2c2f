/* Records: those of the standard's examples, those of libssl's connections, which ours go on with, and those that are none. */
#include "tests/unit/tls_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/tls_record.h"

#define RECORD_MAX (TLS_TEXT_MAX + TLS_OVERHEAD_MAX)

static const struct connection {
	struct tls_kind kind;
	const char *cipher;
	bool rsa;
} connections[] = {
	{ { TLS_1_3, TLS_AES_128_GCM }, "TLS_AES_128_GCM_SHA256", false },
	{ { TLS_1_3, TLS_AES_256_GCM }, "TLS_AES_256_GCM_SHA384", false },
	{ { TLS_1_3, TLS_CHACHA20_POLY1305 }, "TLS_CHACHA20_POLY1305_SHA256", true },
	{ { TLS_1_2, TLS_AES_128_GCM }, "ECDHE-ECDSA-AES128-GCM-SHA256", false },
	{ { TLS_1_2, TLS_AES_256_GCM }, "ECDHE-ECDSA-AES256-GCM-SHA384", false },
	{ { TLS_1_2, TLS_CHACHA20_POLY1305 }, "ECDHE-ECDSA-CHACHA20-POLY1305", false },
	{ { TLS_1_2, TLS_AES_128_GCM }, "ECDHE-RSA-AES128-GCM-SHA256", true },
	{ { TLS_1_2, TLS_AES_256_GCM }, "ECDHE-RSA-AES256-GCM-SHA384", true },
	{ { TLS_1_2, TLS_CHACHA20_POLY1305 }, "ECDHE-RSA-CHACHA20-POLY1305", true },
};
#define CONNECTIONS (sizeof(connections) / sizeof(connections[0]))

static struct tls_crypto *crypto;
static uint8_t text[TLS_TEXT_MAX + 1], sealed[RECORD_MAX + 1], wire[4 * RECORD_MAX], opened[4 * RECORD_MAX];

static int setup(void **state)
{
	(void)state;
	crypto = tls_crypto_create();
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 + i / 256);
	return crypto ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	tls_crypto_destroy(crypto);
	return 0;
}

/* ---- libssl's records are ours ---- */

/* What libssl has just written, one record, is what is sealed here; and opened here it is the text. Returns its length. */
static size_t same(const struct tls_pair *pair, const struct tls_keys *keys, uint64_t seq, uint8_t type, const void *bytes, size_t len, size_t written)
{
	uint8_t found = 0;

	assert_int_equal(tls_seal(crypto, pair->kind, keys, seq, type, bytes, len, sealed), written);
	assert_int_equal(written, len + tls_overhead(pair->kind));
	assert_memory_equal(sealed, wire, written);
	assert_int_equal(tls_record_length(pair->kind, wire, TLS_HEAD), written);
	assert_int_equal(tls_open(crypto, pair->kind, keys, seq, wire, written, opened, &found), len);
	assert_int_equal(found, type);
	assert_memory_equal(opened, bytes, len);
	return written;
}

static void hear(SSL *ssl, size_t len)
{
	assert_int_equal(SSL_read(ssl, opened, sizeof(opened)), len);
	assert_memory_equal(opened, text, len);
}

/* Texts of several lengths, both ways. */
static void talk(struct tls_pair *pair)
{
	static const size_t lengths[] = { 1, 15, 16, 17, 100, 1024, 8192, TLS_TEXT_MAX - 1, TLS_TEXT_MAX };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(SSL_write(pair->server, text, (int)lengths[i]), lengths[i]);
		same(pair, &pair->out, pair->out_seq++, TLS_APPLICATION_DATA, text, lengths[i], tls_carry(pair->server, pair->client, wire, sizeof(wire)));
		hear(pair->client, lengths[i]);
		assert_int_equal(SSL_write(pair->client, text, (int)lengths[i]), lengths[i]);
		same(pair, &pair->in, pair->in_seq++, TLS_APPLICATION_DATA, text, lengths[i], tls_carry(pair->client, pair->server, wire, sizeof(wire)));
		hear(pair->server, lengths[i]);
	}
}

/* KeyUpdate, update_requested and update_not_requested. */
static const uint8_t update_requested[] = { 24, 0, 0, 1, 1 }, update[] = { 24, 0, 0, 1, 0 };

/* One end changes its keys, and wants the other to. */
static void change_keys(struct tls_pair *pair, bool server)
{
	SSL *from = server ? pair->server : pair->client, *to = server ? pair->client : pair->server;
	struct tls_keys *first = server ? &pair->out : &pair->in, *then = server ? &pair->in : &pair->out;
	uint64_t *first_seq = server ? &pair->out_seq : &pair->in_seq, *then_seq = server ? &pair->in_seq : &pair->out_seq;
	uint32_t generation = first->generation;
	size_t len, written;

	assert_int_equal(SSL_key_update(from, SSL_KEY_UPDATE_REQUESTED), 1);
	assert_int_equal(SSL_do_handshake(from), 1);
	same(pair, first, *first_seq, TLS_HANDSHAKE, update_requested, sizeof(update), tls_carry(from, to, wire, sizeof(wire)));
	assert_int_equal(tls_keys_next(first, pair->kind.suite), 0);
	assert_int_equal(first->generation, generation + 1);
	*first_seq = 0;
	assert_int_equal(SSL_read(to, opened, 1), -1);
	assert_int_equal(SSL_write(to, text, 1), 1);		/* the answer is written before it, with the keys of before */
	written = tls_carry(to, from, wire, sizeof(wire));
	len = same(pair, then, *then_seq, TLS_HANDSHAKE, update, sizeof(update), written - 1 - tls_overhead(pair->kind));
	assert_int_equal(tls_keys_next(then, pair->kind.suite), 0);
	*then_seq = 0;
	memmove(wire, wire + len, written - len);
	same(pair, then, (*then_seq)++, TLS_APPLICATION_DATA, text, 1, written - len);
	hear(from, 1);
}

/* The server's connection object is gone: its client hears us. */
static void go_on(struct tls_pair *pair)
{
	size_t len;

	SSL_free(pair->server);
	pair->server = NULL;
	for (size_t n = 0; n < 3; n++) {		/* an empty record, which is nothing, and two with text */
		len = tls_seal(crypto, pair->kind, &pair->out, pair->out_seq++, TLS_APPLICATION_DATA, text, 0, sealed);
		assert_int_equal(BIO_write(SSL_get_rbio(pair->client), sealed, (int)len), len);
		len = tls_seal(crypto, pair->kind, &pair->out, pair->out_seq++, TLS_APPLICATION_DATA, text, 1 + 300 * n, sealed);
		assert_int_equal(BIO_write(SSL_get_rbio(pair->client), sealed, (int)len), len);
		hear(pair->client, 1 + 300 * n);
	}
}

/* close_notify, of the client and of ours. */
static void say_goodbye(struct tls_pair *pair)
{
	static const uint8_t close_notify[] = { 1, TLS_CLOSE_NOTIFY };
	size_t len = tls_seal(crypto, pair->kind, &pair->out, pair->out_seq++, TLS_ALERT, close_notify, sizeof(close_notify), sealed);
	uint8_t type = 0;

	assert_int_equal(BIO_write(SSL_get_rbio(pair->client), sealed, (int)len), len);
	assert_int_equal(SSL_read(pair->client, opened, 1), 0);
	assert_int_equal(SSL_get_shutdown(pair->client), SSL_RECEIVED_SHUTDOWN);
	assert_int_equal(SSL_shutdown(pair->client), 1);
	len = (size_t)BIO_read(SSL_get_wbio(pair->client), wire, sizeof(wire));
	assert_int_equal(tls_open(crypto, pair->kind, &pair->in, pair->in_seq++, wire, len, opened, &type), 2);
	assert_int_equal(type, TLS_ALERT);
	assert_memory_equal(opened, close_notify, 2);
}

static void test_connections(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct tls_pair pair;

		tls_pair_open(&pair, connections[i].kind, connections[i].cipher, connections[i].rsa);
		if (pair.kind.version == TLS_1_2 && pair.kind.suite != TLS_CHACHA20_POLY1305)
			memcpy(pair.in.iv + 4, pair.nonces[1], 8);
		talk(&pair);
		for (unsigned n = 0; pair.kind.version == TLS_1_3 && n < 3; n++) {
			change_keys(&pair, n % 2 == 0);
			talk(&pair);
		}
		go_on(&pair);
		say_goodbye(&pair);
		tls_pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

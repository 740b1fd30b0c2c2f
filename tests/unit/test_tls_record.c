/* Records: those of the standard's examples, those of libssl's connections, which ours go on with, and those that are none. */
#include "tests/unit/tls_fixture.h"

#include <openssl/err.h>

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
	static const size_t lengths[] = { 1, 15, 16, 17, 100, 1024, 1535, 1536, 1537, 8192, TLS_TEXT_MAX - 1, TLS_TEXT_MAX };

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

/* ---- the standard's example: RFC 8448, section 3 ---- */

static size_t unhex(uint8_t *dst, const char *hex)
{
	struct base16_decode_ctx base16;
	size_t len;

	base16_decode_init(&base16);
	assert_true(base16_decode_update(&base16, &len, dst, strlen(hex), hex) && base16_decode_final(&base16));
	return len;
}

static void test_example(void **state)
{
	static const struct {
		const char *secret, *key, *iv;
		struct { uint64_t seq; const char *text, *record; uint8_t type; } records[2];
	} ends[] = {
		{
			"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984",
			{
				{ 1, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031",
				  "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d",
				  TLS_APPLICATION_DATA },
				{ 2, "0100", "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9", TLS_ALERT },
			},
		}, {
			"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9",
			{
				{ 0, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031",
				  "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4",
				  TLS_APPLICATION_DATA },
				{ 1, "0100", "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3", TLS_ALERT },
			},
		},
	};
	const struct tls_pair pair = { .kind = { TLS_1_3, TLS_AES_128_GCM } };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint8_t secret[32], bytes[64];
		struct tls_keys keys;

		unhex(secret, ends[i].secret);
		assert_int_equal(tls_keys_1_3(&keys, TLS_AES_128_GCM, secret, sizeof(secret)), 0);
		assert_memory_equal(keys.key, bytes, unhex(bytes, ends[i].key));
		assert_memory_equal(keys.iv, bytes, unhex(bytes, ends[i].iv));
		for (unsigned j = 0; j < 2; j++) {
			size_t len = unhex(bytes, ends[i].records[j].text);

			same(&pair, &keys, ends[i].records[j].seq, ends[i].records[j].type, bytes, len, unhex(wire, ends[i].records[j].record));
		}
		assert_int_equal(tls_keys_1_3(&keys, TLS_AES_256_GCM, secret, sizeof(secret)), -1);	/* of the other hash it would be 48 bytes */
	}
}

/* ---- records that are none ---- */

/* Keys of no connection, which are those of a connection of its kind. */
static struct tls_keys make_keys(struct tls_kind kind)
{
	struct tls_keys keys, client;
	uint8_t bytes[48] = { 1, 2, 3 };

	if (kind.version == TLS_1_3)
		assert_int_equal(tls_keys_1_3(&keys, kind.suite, bytes, kind.suite == TLS_AES_256_GCM ? 48 : 32), 0);
	else
		assert_int_equal(tls_keys_1_2(&client, &keys, kind.suite, false, bytes, bytes, bytes, bytes), 0);
	return keys;
}

/* Every bit of it counts, also those that say which record it is. */
static void test_flips(void **state)
{
	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct tls_kind kind = connections[i].kind;
		struct tls_keys keys = make_keys(kind), other;
		size_t len = tls_seal(crypto, kind, &keys, 7, TLS_APPLICATION_DATA, text, 50, sealed);
		uint8_t type;

		for (size_t bit = 0; bit < 8 * len; bit++) {
			long found;

			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
			found = tls_record_length(kind, sealed, len);
			assert_true(found != 0);
			if (found > 0 && bit / 8 >= TLS_HEAD)
				assert_int_equal(found, len);
			if (found == (long)len)
				assert_int_equal(tls_open(crypto, kind, &keys, 7, sealed, len, opened, &type), -TLS_BAD_RECORD_MAC);
			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t bit = 0; bit < 8 * (tls_key_len(kind) + 12); bit++) {	/* the key, or the nonce */
			size_t at = bit / 8, key = tls_key_len(kind);

			if (at >= key && kind.version == TLS_1_2 && kind.suite != TLS_CHACHA20_POLY1305 && at - key >= 4)
				continue;		/* that of a nonce which the record has */
			other = keys;
			*(at < key ? other.key + at : other.iv + at - key) ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(tls_open(crypto, kind, &other, 7, sealed, len, opened, &type), -TLS_BAD_RECORD_MAC);
		}
		for (unsigned bit = 0; bit < 64; bit++)
			assert_int_equal(tls_open(crypto, kind, &keys, 7 ^ 1ull << bit, sealed, len, opened, &type), -TLS_BAD_RECORD_MAC);
		assert_int_equal(tls_open(crypto, kind, &keys, 7, sealed, len, opened, &type), 50);

		len = tls_seal(crypto, kind, &keys, 7, TLS_APPLICATION_DATA, text, 3000, sealed);
		for (size_t at = TLS_HEAD; at < len; at += at < 40 || at + 40 > len ? 1 : 41) {
			sealed[at] ^= 1;
			assert_int_equal(tls_open(crypto, kind, &keys, 7, sealed, len, opened, &type), -TLS_BAD_RECORD_MAC);
			sealed[at] ^= 1;
		}
		assert_int_equal(tls_open(crypto, kind, &keys, 7, sealed, len, opened, &type), 3000);	/* no failure is left behind */
		assert_int_equal(ERR_peek_error(), 0);
	}
}

static void test_lengths(void **state)
{
	static const uint8_t types[] = { 0, 19, TLS_CHANGE_CIPHER_SPEC, 24, 128, 255 };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct tls_kind kind = connections[i].kind;
		bool gcm = kind.suite != TLS_CHACHA20_POLY1305, v3 = kind.version == TLS_1_3;
		size_t least = !v3 && gcm ? 24 : 16, most = v3 ? 16384 + 256 : gcm ? 16384 + 24 : 16384 + 16;
		uint8_t head[TLS_HEAD] = { TLS_APPLICATION_DATA, 3, 3 };

		assert_true(most + TLS_HEAD <= TLS_RECORD_MAX && tls_overhead(kind) <= TLS_OVERHEAD_MAX);
		for (size_t body = 0; body < 65536; body++) {
			long found;

			head[3] = (uint8_t)(body >> 8);
			head[4] = (uint8_t)body;
			found = tls_record_length(kind, head, TLS_HEAD);
			assert_int_equal(found, body < least ? -TLS_DECODE_ERROR : body > most ? -TLS_RECORD_OVERFLOW : (long)body + TLS_HEAD);
		}
		head[3] = 0;
		head[4] = 100;
		for (size_t len = 0; len < TLS_HEAD; len++)
			assert_int_equal(tls_record_length(kind, head, len), 0);
		for (unsigned bit = 0; bit < 16; bit++) {
			head[1 + bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(tls_record_length(kind, head, TLS_HEAD), -TLS_DECODE_ERROR);
			head[1 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t j = 0; j < sizeof(types); j++) {
			head[0] = types[j];
			assert_int_equal(tls_record_length(kind, head, TLS_HEAD), -TLS_UNEXPECTED_MESSAGE);
		}
		for (head[0] = TLS_ALERT; head[0] <= TLS_HANDSHAKE; head[0]++)
			assert_int_equal(tls_record_length(kind, head, TLS_HEAD), v3 ? -TLS_UNEXPECTED_MESSAGE : 100 + TLS_HEAD);
	}
}

/* Of 1.3: text, its type and `zeros` bytes of padding. */
static long open_padded(const struct tls_keys *keys, size_t len, uint8_t type, size_t zeros, uint8_t *found)
{
	static uint8_t inner[TLS_TEXT_MAX];
	static const struct tls_kind kind = { TLS_1_3, TLS_AES_128_GCM };
	size_t record;

	assert_true(zeros > 0 && len + zeros <= sizeof(inner));
	memset(inner, 0, sizeof(inner));
	memcpy(inner, text, len);
	inner[len] = type;
	record = tls_seal(crypto, kind, keys, 3, 0, inner, len + zeros, sealed);
	return tls_open(crypto, kind, keys, 3, sealed, record, opened, found);
}

static void test_padding(void **state)
{
	static const struct tls_kind kind = { TLS_1_3, TLS_AES_128_GCM };
	struct tls_keys keys = make_keys(kind);
	uint8_t type = 0;

	(void)state;
	for (size_t len = 0; len < 40; len += 13)
		for (size_t zeros = 1; zeros < 600; zeros += 7) {
			assert_int_equal(open_padded(&keys, len, TLS_APPLICATION_DATA, zeros, &type), len);
			assert_int_equal(type, TLS_APPLICATION_DATA);
			assert_memory_equal(opened, text, len);
		}
	assert_int_equal(open_padded(&keys, 1, TLS_ALERT, TLS_TEXT_MAX - 1, &type), 1);
	assert_int_equal(type, TLS_ALERT);
	assert_int_equal(open_padded(&keys, 0, 0, 1, &type), -TLS_UNEXPECTED_MESSAGE);		/* padding alone */
	assert_int_equal(open_padded(&keys, 0, 0, TLS_TEXT_MAX, &type), -TLS_UNEXPECTED_MESSAGE);
	assert_int_equal(tls_open(crypto, kind, &keys, 0, sealed, tls_seal(crypto, kind, &keys, 0, 0, "", 0, sealed), opened, &type), -TLS_UNEXPECTED_MESSAGE);
}

/* A record with more text than one may have, which libcrypto alone makes. */
static void test_overlong(void **state)
{
	static const struct tls_kind kind = { TLS_1_3, TLS_AES_128_GCM };
	static uint8_t record[TLS_RECORD_MAX] = { TLS_APPLICATION_DATA, 3, 3 };
	struct tls_keys keys = make_keys(kind);

	(void)state;
	for (size_t inner = TLS_TEXT_MAX + 1; inner <= TLS_TEXT_MAX + 240; inner += 239) {
		EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
		uint8_t type;
		int done;

		record[3] = (uint8_t)((inner + 16) >> 8);
		record[4] = (uint8_t)(inner + 16);
		memset(record + TLS_HEAD, 0, sizeof(record) - TLS_HEAD);
		memcpy(record + TLS_HEAD, "text\x17", 5);
		assert_int_equal(EVP_EncryptInit_ex2(ctx, EVP_aes_128_gcm(), keys.key, keys.iv, NULL), 1);
		assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &done, record, TLS_HEAD), 1);
		assert_int_equal(EVP_EncryptUpdate(ctx, record + TLS_HEAD, &done, record + TLS_HEAD, (int)inner), 1);
		assert_int_equal(EVP_EncryptFinal_ex(ctx, record + TLS_HEAD + inner, &done), 1);
		assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, record + TLS_HEAD + inner), 1);
		EVP_CIPHER_CTX_free(ctx);
		assert_int_equal(tls_open(crypto, kind, &keys, 0, record, TLS_HEAD + inner + 16, opened, &type), inner > TLS_TEXT_MAX + 1 ? -TLS_RECORD_OVERFLOW : 4);
	}
}

/* What may be in a record, and what of it may be empty. */
static void test_types(void **state)
{
	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct tls_kind kind = connections[i].kind;
		struct tls_keys keys = make_keys(kind);

		for (unsigned type = 0; type < 256; type++)
			for (size_t len = 0; len < 2; len++) {
				size_t record = tls_seal(crypto, kind, &keys, type, (uint8_t)type, "x", len, sealed);
				bool may = type == TLS_APPLICATION_DATA || (len > 0 && (type == TLS_ALERT || type == TLS_HANDSHAKE));
				uint8_t found = 0;

				if (type == 0 && kind.version == TLS_1_3)
					continue;
				assert_int_equal(tls_open(crypto, kind, &keys, type, sealed, record, opened, &found), may ? (long)len : -TLS_UNEXPECTED_MESSAGE);
				assert_true(!may || found == type);
			}
	}
}

/* The explicit nonce is a number of 64 bits, also where it overflows; and no two records have the same. */
static void test_nonce(void **state)
{
	static const struct tls_kind kind = { TLS_1_2, TLS_AES_128_GCM };
	static const uint8_t last[] = { 255, 255, 255, 255, 255, 255, 255, 254 }, zero[8];
	struct tls_keys keys = make_keys(kind);
	uint8_t type;

	(void)state;
	memcpy(keys.iv + 4, last, 8);
	assert_int_equal(tls_seal(crypto, kind, &keys, 2, TLS_APPLICATION_DATA, text, 9, sealed), 9 + tls_overhead(kind));
	assert_memory_equal(sealed + TLS_HEAD, zero, 8);
	assert_int_equal(tls_open(crypto, kind, &keys, 2, sealed, 9 + tls_overhead(kind), opened, &type), 9);
	tls_seal(crypto, kind, &keys, 1, TLS_APPLICATION_DATA, text, 9, sealed);
	assert_true(sealed[TLS_HEAD] == 255 && sealed[TLS_HEAD + 7] == 255);
}

/* What is forgotten is no key of what comes next. */
static void test_forget(void **state)
{
	(void)state;
	tls_crypto_forget(NULL);
	for (size_t i = 0; i < 6; i++)
		for (size_t len = 9; len < 4000; len += 3000) {
			struct tls_keys keys = make_keys(connections[i].kind);
			uint8_t type, before[RECORD_MAX];
			size_t record = tls_seal(crypto, connections[i].kind, &keys, 1, TLS_APPLICATION_DATA, text, len, before);

			tls_crypto_forget(crypto);
			assert_int_equal(tls_seal(crypto, connections[i].kind, &keys, 1, TLS_APPLICATION_DATA, text, len, sealed), record);
			assert_memory_equal(sealed, before, record);
			tls_crypto_forget(crypto);
			assert_int_equal(tls_open(crypto, connections[i].kind, &keys, 1, sealed, record, opened, &type), len);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_overlong),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_forget),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * proto/tls_record.c: bytes that are no record of ours; texts, which are sealed and opened again; and those with a bit of the record wrong. The
 * first byte says what kind of connection it is, the second and third which bit, the fourth is the type.
 */
#include "proto/tls_record.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define HEAD 4
#define SEQ 5

static struct tls_crypto *crypto;

static bool is_type(uint8_t type)
{
	return type >= TLS_ALERT && type <= TLS_APPLICATION_DATA;
}

static bool is_alert(long result)
{
	return result == -TLS_UNEXPECTED_MESSAGE || result == -TLS_BAD_RECORD_MAC || result == -TLS_RECORD_OVERFLOW || result == -TLS_DECODE_ERROR;
}

/* In memory of exactly its size. The text is to be freed. */
static long open_exact(struct tls_kind kind, const struct tls_keys *keys, const uint8_t *bytes, size_t len, uint8_t **text, uint8_t *type)
{
	uint8_t *record = fuzz_alloc(len);
	long result;

	*text = fuzz_alloc(len);
	memcpy(record, bytes, len);
	result = tls_open(crypto, kind, keys, SEQ, record, len, *text, type);
	fuzz_check(memcmp(record, bytes, len) == 0);
	fuzz_check(is_alert(result) || (result >= 0 && is_type(*type) && (size_t)result + tls_overhead(kind) <= len));
	free(record);
	return result;
}

static void read_bytes(struct tls_kind kind, const struct tls_keys *keys, const uint8_t *bytes, size_t size)
{
	long len = tls_record_length(kind, bytes, size);
	uint8_t *text, type;

	fuzz_check(size < TLS_HEAD ? len == 0 : is_alert(len) || (len > TLS_HEAD && len <= TLS_RECORD_MAX));
	if (len <= 0 || (size_t)len > size)
		return;
	open_exact(kind, keys, bytes, (size_t)len, &text, &type);
	free(text);
}

/* What a record with this text and type is, by the letter. */
static long expect(struct tls_kind kind, const uint8_t *text, size_t len, uint8_t *type)
{
	if (kind.version == TLS_1_3 && *type == 0) {
		while (len > 0 && text[len - 1] == 0)
			len--;
		if (len == 0)
			return -TLS_UNEXPECTED_MESSAGE;
		*type = text[--len];
	}
	return is_type(*type) && (len > 0 || *type == TLS_APPLICATION_DATA) ? (long)len : -TLS_UNEXPECTED_MESSAGE;
}

static void seal_and_open(struct tls_kind kind, const struct tls_keys *keys, const uint8_t *text, size_t size, uint8_t type, size_t bit)
{
	size_t len = size < TLS_TEXT_MAX ? size : TLS_TEXT_MAX, record = len + tls_overhead(kind);
	uint8_t *sealed = fuzz_alloc(record), *opened, found, expected = type;
	long result = expect(kind, text, len, &expected);

	fuzz_check(tls_seal(crypto, kind, keys, SEQ, type, text, len, sealed) == record);
	fuzz_check(kind.version == TLS_1_2 && !is_type(type) ? tls_record_length(kind, sealed, record) == -TLS_UNEXPECTED_MESSAGE :
		   tls_record_length(kind, sealed, TLS_HEAD) == (long)record);
	fuzz_check(open_exact(kind, keys, sealed, record, &opened, &found) == result);
	fuzz_check(result < 0 || (found == expected && (result == 0 || memcmp(opened, text, (size_t)result) == 0)));
	free(opened);

	sealed[bit / 8 % record] ^= (uint8_t)(1 << bit % 8);
	if (tls_record_length(kind, sealed, record) == (long)record) {
		fuzz_check(open_exact(kind, keys, sealed, record, &opened, &found) == -TLS_BAD_RECORD_MAC);
		free(opened);
	}
	free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_keys keys = { .key = "a key of thirty-two bytes, or 16", .iv = "its nonce ab" };
	struct tls_kind kind;

	if (size < HEAD)
		return 0;
	if (crypto == NULL)
		crypto = tls_crypto_create();
	fuzz_check(crypto != NULL);
	kind = (struct tls_kind){ data[0] & 1 ? TLS_1_3 : TLS_1_2, (uint8_t)(TLS_AES_128_GCM + (data[0] >> 1) % 3) };
	read_bytes(kind, &keys, data + HEAD, size - HEAD);
	seal_and_open(kind, &keys, data + HEAD, size - HEAD, data[3], data[1] | (size_t)data[2] << 8);
	return 0;
}

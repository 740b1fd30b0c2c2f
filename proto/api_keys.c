/*
 * API keys. See api_keys.h.
 */
#include "proto/api_keys.h"

#include <stdlib.h>
#include <string.h>

#include <nettle/memops.h>
#include <nettle/sha2.h>

#include "proto/http.h"
#include "proto/key_look.h"
#include "proto/message.h"
#include "proto/rights_text.h"
#include "proto/wildcard.h"

#define BLANK " \t\r"

static size_t padded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

static void digest_of(const char *key, size_t len, uint8_t digest[SHA256_DIGEST_SIZE])
{
	struct sha256_ctx sha;

	sha256_init(&sha);
	sha256_update(&sha, len, (const uint8_t *)key);
	sha256_digest(&sha, SHA256_DIGEST_SIZE, digest);
}

/* ---- the file ---- */

struct keys {
	uint8_t *bytes;
	size_t used, room;
	unsigned count;
};

/* Takes the next word off the line's front; len 0: there is none. */
static struct http_text next_word(struct http_text *line)
{
	struct http_text word = *line;

	while (word.len > 0 && memchr(BLANK, *word.p, sizeof(BLANK) - 1))
		word.p++, word.len--;
	for (line->p = word.p; line->p < word.p + word.len && !memchr(BLANK, *line->p, sizeof(BLANK) - 1); line->p++)
		;
	line->len = (size_t)(word.p + word.len - line->p);
	word.len = (size_t)(line->p - word.p);
	return word;
}

static const char *key_error(struct http_text key)
{
	if (key.len < API_KEY_LEAST || key.len > API_KEY_MOST)
		return "a key has 16 to 255 characters";
	for (size_t i = 0; i < key.len; i++)
		if (key.p[i] <= ' ' || key.p[i] > '~' || key.p[i] == '"' || key.p[i] == '\\')
			return "a key has a character that is not printable ASCII, or a quote or backslash";
	return key_look(key.p, key.len) ? "a key looks like one of a public pair, which everybody may know" : NULL;
}

/* NULL, or what is wrong. */
static const char *add(struct keys *k, struct http_text key, struct http_text pattern, struct http_text name)
{
	_Alignas(struct rights) uint8_t block[2 * UINT8_MAX + 64];
	bool everything = pattern.len == 0 || (pattern.len == 1 && *pattern.p == '*');
	struct rights_writer w;
	const char *error;
	uint8_t *bytes;
	size_t size;

	rights_begin(&w, block, sizeof(block), name.p, name.len, INT64_MAX);
	if (everything)
		rights_grant_all(&w);
	else
		rights_grant(&w, RIGHTS_TOPICS, RIGHT_ALL, pattern.p, pattern.len);
	size = rights_end(&w, &error);
	if (!size)
		return error;
	if (k->used + SHA256_DIGEST_SIZE + padded(size) > k->room) {
		size_t room = 2 * k->room + 4096;

		bytes = realloc(k->bytes, room);
		if (!bytes)
			return "out of memory";
		k->bytes = bytes;
		k->room = room;
	}
	bytes = k->bytes + k->used;
	digest_of(key.p, key.len, bytes);
	memset(bytes + SHA256_DIGEST_SIZE, 0, padded(size));
	memcpy(bytes + SHA256_DIGEST_SIZE, block, size);
	k->used += SHA256_DIGEST_SIZE + padded(size);
	k->count++;
	return NULL;
}

static const char *read_line(struct keys *k, struct http_text line)
{
	struct http_text key, pattern, name;
	const char *error;

	key = next_word(&line);
	if (key.len == 0 || *key.p == '#')
		return NULL;
	pattern = next_word(&line);
	name = next_word(&line);
	error = key_error(key);
	if (!error && pattern.len > UINT8_MAX)
		error = "a pattern has 255 bytes at most";
	if (!error && name.len > 0)
		error = message_user_error(name.p, name.len);
	if (!error && next_word(&line).len > 0)
		error = "more than a key, a pattern and a name in a line";
	if (!error && k->count == API_KEYS_MAX)
		error = "more than 1024 keys";
	if (!error && api_keys_find(k->bytes, k->used, key.p, key.len))
		error = "a key stands twice";
	return error ? error : add(k, key, pattern, name);
}

uint8_t *api_keys_read(const char *text, size_t len, size_t *size, const char **error, unsigned *line)
{
	struct keys k = { 0 };
	struct http_text rest = { text, len }, one;

	*error = NULL;
	*line = 0;
	while (!*error && rest.p && http_list_next(&rest, '\n', &one)) {
		++*line;
		*error = memchr(one.p, '\0', one.len) ? "a NUL byte" : read_line(&k, one);
	}
	if (!*error && k.count == 0) {
		*error = "no key in it";
		*line = 0;
	}
	if (*error) {
		free(k.bytes);
		return NULL;
	}
	*size = k.used;
	return k.bytes;
}

/* ---- the keys ---- */

/* The rights of the key at `at`. NULL: there is no whole one. */
static const struct rights *rights_at(const uint8_t *keys, size_t size, size_t at)
{
	const struct rights *r = (const struct rights *)(keys + at + SHA256_DIGEST_SIZE);

	if (size - at < SHA256_DIGEST_SIZE + sizeof(*r) || padded(r->size) > size - at - SHA256_DIGEST_SIZE)
		return NULL;
	return rights_check(r, r->size) ? r : NULL;
}

static size_t next_at(size_t at, const struct rights *r)
{
	return at + SHA256_DIGEST_SIZE + padded(r->size);
}

bool api_keys_check(const uint8_t *keys, size_t size)
{
	const struct rights *r;

	for (size_t at = 0; at < size; at = next_at(at, r)) {
		r = rights_at(keys, size, at);
		if (!r)
			return false;
	}
	return true;
}

const struct rights *api_keys_find(const uint8_t *keys, size_t size, const char *key, size_t len)
{
	const struct rights *found = NULL, *r;
	uint8_t digest[SHA256_DIGEST_SIZE];

	if (len < API_KEY_LEAST || len > API_KEY_MOST)
		return NULL;
	digest_of(key, len, digest);
	for (size_t at = 0; at < size; at = next_at(at, r)) {
		r = (const struct rights *)(keys + at + SHA256_DIGEST_SIZE);
		if (memeql_sec(keys + at, digest, sizeof(digest)))
			found = r;
	}
	return found;
}

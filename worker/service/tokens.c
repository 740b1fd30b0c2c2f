/*
 * Keys of tokens, in a worker.
 */
#include "worker/service/tokens.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/fetched_keys.h"
#include "shm/log.h"
#include "worker/service/token_memory.h"

struct tokens {
	struct jwt_keys *keys;		/* those of files, then those that were fetched */
	unsigned of_files;
	struct jwt_options options;
	struct fetched_keys_shm *fetched;	/* NULL: no URL is set */
	uint32_t number;		/* of what was fetched that is in `keys` */
	struct token_memory memory;	/* of what they have found good */
};

bool tokens_are_on(const struct settings *settings)
{
	return settings->token_keys[0] || settings->token_jwks_url[0];
}

/* What the master packed; it has checked that there is room for all. */
static int read_files(struct tokens *t, const struct secrets *secrets)
{
	struct secret s;
	size_t at = 0;

	while (secrets && secrets_next(secrets, SECRET_TOKEN_KEYS, &at, &s))
		if (jwt_keys_unpack(t->keys, s.bytes, s.len) < 0) {
			errno = EPROTO;
			return -1;
		}
	t->of_files = jwt_keys_count(t->keys);
	return 0;
}

/* What was fetched takes the place of what was fetched before. */
static void read_fetched(struct tokens *t)
{
	void *bytes = malloc(FETCHED_KEYS_MAX);
	size_t len;

	if (!bytes) {
		log_warning_limited("keys of tokens: %m");
		return;
	}
	len = fetched_keys_copy(t->fetched, bytes, &t->number);
	token_memory_clear(&t->memory);
	jwt_keys_keep(t->keys, t->of_files);
	if (len > 0 && jwt_keys_unpack(t->keys, bytes, len) < 0)
		log_warning_limited("keys of tokens: what was fetched can't be used");
	free(bytes);
}

struct tokens *tokens_create(const struct settings *settings, const struct secrets *secrets, int fetched)
{
	struct tokens *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->options = (struct jwt_options){ .audience = settings->token_audience, .issuer = settings->token_issuer };
	t->keys = jwt_keys_create();
	if (!t->keys || read_files(t, secrets) < 0)
		goto err;
	if (settings->token_jwks_url[0] && fetched >= 0) {
		t->fetched = fetched_keys_map(fetched, false);
		if (!t->fetched)
			goto err;
		read_fetched(t);
	}
	return t;
err:
	tokens_destroy(t);
	return NULL;
}

void tokens_destroy(struct tokens *t)
{
	int error = errno;

	if (!t)
		return;
	jwt_keys_destroy(t->keys);
	token_memory_clear(&t->memory);
	fetched_keys_unmap(t->fetched);
	free(t);
	errno = error;
}

enum jwt_refusal tokens_verify(struct tokens *t, const char *text, size_t len, int64_t now, void *dst, size_t room, size_t *size, const char **error)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const struct rights *known;
	enum jwt_refusal refusal;

	if (t->fetched && fetched_keys_number(t->fetched) != t->number)
		read_fetched(t);
	if (len > JWT_SIZE_MAX)
		return jwt_verify(t->keys, text, len, now, &t->options, dst, room, size, error);
	SHA256((const uint8_t *)text, len, digest);
	known = token_memory_find(&t->memory, digest, now);
	if (known && known->size <= room) {
		memcpy(dst, known, known->size);
		*size = known->size;
		return JWT_ACCEPTED;
	}
	refusal = jwt_verify(t->keys, text, len, now, &t->options, dst, room, size, error);
	if (refusal == JWT_ACCEPTED)
		token_memory_add(&t->memory, digest, dst);
	return refusal;
}

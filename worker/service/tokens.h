/*
 * The keys that this worker checks tokens with (proto/jwt.h): those of the files in token_keys, which come from the master with the other secrets, and those
 * that were fetched from token_jwks_url, which it shares (shm/fetched_keys.h).
 */
#ifndef WORKER_SERVICE_TOKENS_H
#define WORKER_SERVICE_TOKENS_H

#include "proto/jwt.h"
#include "shm/secrets.h"
#include "shm/settings.h"

struct tokens;

/* Whether tokens mean anything, by the settings. */
bool tokens_are_on(const struct settings *settings);

/*
 * `secrets` may be NULL, as there are none; fetched is the descriptor of shm/fetched_keys.h, -1 none. The settings are looked at as long as this lives. NULL with errno: no memory,
 * or nonsense was handed over.
 */
struct tokens *tokens_create(const struct settings *settings, const struct secrets *secrets, int fetched);
void tokens_destroy(struct tokens *tokens);

/* jwt_verify() with these keys, by these settings; or what that has found before of the same token, by the same keys (token_memory.h). */
enum jwt_refusal tokens_verify(struct tokens *tokens, const char *text, size_t len, int64_t now, void *dst, size_t room, size_t *size, const char **error);

#endif

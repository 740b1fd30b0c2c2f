/*
 * API keys: by which a server, not a user, shows what it may. A file has one a line:
 *
 *   KEY [PATTERN [NAME]]      # and comments
 *
 * KEY is 16 to 255 printable characters without space, best of a random source. PATTERN says of which topics it may do everything, as rights.h has it; without one,
 * or with *, it may do everything. NAME is who it is (`sub`): in what is logged, and as `from` of what it publishes.
 *
 * Read once, keys are kept as SHA-256 digests with their rights, as one piece of bytes that one process can give to another: who has it can check a key, and
 * tell none. (A digest that fast to make is enough, as keys are not guessed like passwords: they are long and random.)
 *
 *   SHA-256 of the key, 32 bytes | its rights, a block of rights.h, and zeroes up to a multiple of 8     and so on
 */
#ifndef PROTO_API_KEYS_H
#define PROTO_API_KEYS_H

#include "proto/rights.h"

#define API_KEY_LEAST 16
#define API_KEY_MOST 255
#define API_KEYS_MAX 1024		/* keys */

/*
 * Reads a file's text. Bytes from malloc(), *size of them, which are the caller's; NULL with *error: what is wrong, and *line: where (0: nowhere in
 * particular). A key is never in the error.
 */
uint8_t *api_keys_read(const char *text, size_t len, size_t *size, const char **error, unsigned *line);

/* Whether it is such a piece: for what came from another process. `keys` is aligned as a uint64_t. */
bool api_keys_check(const uint8_t *keys, size_t size);

/* What the key may do. NULL: it is none of them. It takes as long whichever it is. */
const struct rights *api_keys_find(const uint8_t *keys, size_t size, const char *key, size_t len);

#endif

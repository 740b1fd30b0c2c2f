/*
 * What tokens gave that were good a moment ago. A signature takes up to a hundred microseconds, and over HTTP a token is shown with each request: so a worker
 * remembers the last ones, whatever connection they came by, and a session need not grow for it.
 *
 * Remembered are a token's SHA-256 and its rights; not the token. Nobody can make another text of the same digest, so what is found was checked as a whole; what time has
 * changed since is `exp` alone, which stands in the rights. Whoever has other keys than before forgets all (token_memory_clear()); other settings come with another worker.
 */
#ifndef WORKER_SERVICE_TOKEN_MEMORY_H
#define WORKER_SERVICE_TOKEN_MEMORY_H

#include <openssl/sha.h>

#include "proto/rights.h"

/* Places, of which each token has one that is its own or another's; and bytes of the rights that are remembered. Together at most a megabyte. */
enum { TOKEN_MEMORY_PLACES = 1024, TOKEN_MEMORY_BYTES = 1024 };

struct token_memory {
	struct remembered *places;	/* NULL: there is none yet */
};

void token_memory_clear(struct token_memory *m);

/* The rights of the token with this digest, until the next call. NULL: it is not remembered, or has run out. `now`: seconds since the epoch. */
const struct rights *token_memory_find(const struct token_memory *m, const uint8_t digest[SHA256_DIGEST_LENGTH], int64_t now);
/* (If there is no memory, or they are too large, it is not remembered.) */
void token_memory_add(struct token_memory *m, const uint8_t digest[SHA256_DIGEST_LENGTH], const struct rights *rights);

#endif

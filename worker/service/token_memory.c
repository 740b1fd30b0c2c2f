/*
 * What tokens gave. See token_memory.h.
 */
#include "worker/service/token_memory.h"

#include <stdlib.h>
#include <string.h>

struct remembered {
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct rights *rights;		/* NULL: nothing is here */
};

static struct remembered *place_of(const struct token_memory *m, const uint8_t *digest)
{
	return &m->places[(digest[0] << 8 | digest[1]) % TOKEN_MEMORY_PLACES];
}

void token_memory_clear(struct token_memory *m)
{
	for (unsigned i = 0; m->places && i < TOKEN_MEMORY_PLACES; i++)
		free(m->places[i].rights);
	free(m->places);
	m->places = NULL;
}

const struct rights *token_memory_find(const struct token_memory *m, const uint8_t digest[SHA256_DIGEST_LENGTH], int64_t now)
{
	const struct remembered *r = m->places ? place_of(m, digest) : NULL;

	return r && r->rights && memcmp(r->digest, digest, sizeof(r->digest)) == 0 && r->rights->expires > now ? r->rights : NULL;
}

void token_memory_add(struct token_memory *m, const uint8_t digest[SHA256_DIGEST_LENGTH], const struct rights *rights)
{
	struct remembered *r;

	if (!m->places)
		m->places = calloc(TOKEN_MEMORY_PLACES, sizeof(*m->places));
	if (!m->places || rights->size > TOKEN_MEMORY_BYTES)
		return;
	r = place_of(m, digest);
	free(r->rights);
	r->rights = malloc(rights->size);
	if (!r->rights)
		return;
	memcpy(r->rights, rights, rights->size);
	memcpy(r->digest, digest, sizeof(r->digest));
}

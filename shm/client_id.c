/*
 * What a client is called. See client_id.h.
 */
#include "shm/client_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shm/siphash.h"

uint32_t client_id_check(const uint8_t token[TOKEN_BYTES])
{
	static const uint64_t key[2];	/* nothing is secret here but the token */
	uint64_t hash[2];

	siphash(key, token, TOKEN_BYTES, hash);
	return (uint32_t)hash[0];
}

void client_id_write(char text[CLIENT_ID_TEXT], const struct client_id *id)
{
	snprintf(text, CLIENT_ID_TEXT, "%u.%u.%08" PRIx32, (unsigned)(id->slot & 63), (unsigned)(id->session & 0x3ffffff), id->check);
}

int client_id_read(struct client_id *id, const char *text)
{
	char again[CLIENT_ID_TEXT];

	if (sscanf(text, "%2" SCNu32 ".%8" SCNu32 ".%8" SCNx32, &id->slot, &id->session, &id->check) != 3)
		return -1;
	client_id_write(again, id);
	return strcmp(again, text) == 0 ? 0 : -1;	/* (one way to write it, and nothing behind it) */
}

/*
 * What a client is called where operators see it (janusctl, events): SLOT.SESSION.CHECK, as 0.117.9f3a22c1. The check is 32 bits of a hash of its token, so that
 * an id never means whoever has the same place later, and tells nobody the token. It stays over its worker's death, a reload and an upgrade; a
 * client that is moved to another slot, or that attaches to another session, has another id from then on.
 */
#ifndef SHM_CLIENT_ID_H
#define SHM_CLIENT_ID_H

#include <stdint.h>

#include "proto/token.h"

#define CLIENT_ID_TEXT 24		/* bytes with the terminator, at most */

struct client_id {
	uint32_t slot, session, check;
};

uint32_t client_id_check(const uint8_t token[TOKEN_BYTES]);
void client_id_write(char text[CLIENT_ID_TEXT], const struct client_id *id);
/* 0, or -1: it is no such id. */
int client_id_read(struct client_id *id, const char *text);

#endif

/*
 * Tokens: the secret by which a client finds its session again.
 *
 *   0                   12     16 bytes
 *   | random            | home |		home, big-endian: slot << 26 | number of the session in it, as it was when the token was made
 *
 * As text: 32 digits of hex.
 */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_BYTES 16
#define TOKEN_TEXT 32		/* bytes, not terminated */

/* Makes a token. 0, or -1 with errno: there is nothing random to be had. */
int token_make(uint8_t token[TOKEN_BYTES], unsigned slot, uint32_t session);
unsigned token_slot(const uint8_t token[TOKEN_BYTES]);		/* 0 to 63 */
uint32_t token_session(const uint8_t token[TOKEN_BYTES]);
/* Takes as long whichever bytes differ. */
bool token_is(const uint8_t a[TOKEN_BYTES], const uint8_t b[TOKEN_BYTES]);

void token_write(char text[TOKEN_TEXT], const uint8_t token[TOKEN_BYTES]);
/* NULL, or a static sentence fit for the peer. */
const char *token_read(uint8_t token[TOKEN_BYTES], const char *text, size_t len);

#endif

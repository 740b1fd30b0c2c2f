/*
 * Keys as NATS writes them (github.com/nats-io/nkeys): base32 (RFC 4648, without padding) of what it is a key of, 32 bytes of ed25519, and a CRC-16 (XMODEM).
 */
#ifndef MASTER_BRIDGE_NKEY_H
#define MASTER_BRIDGE_NKEY_H

#define NKEY_TEXT 57			/* bytes of a public key, with its terminator */

/* The public key of a user's seed, SU... 0, or -1: it is no seed of a user. */
int nkey_public(const char *seed, char public[NKEY_TEXT]);

#endif

/*
 * The protocols that clients speak, by number: in listen addresses and in sessions.
 */
#ifndef PROTO_PROTOCOL_H
#define PROTO_PROTOCOL_H

enum { PROTO_FLASH, PROTO_HTTP, PROTO_PACKET };	/* kept in shared memory: add at the end */

#endif

/*
 * Sessions' input: received, and dealt with by the transport that the session speaks.
 */
#ifndef WORKER_PROTOCOL_INPUT_H
#define WORKER_PROTOCOL_INPUT_H

#include "worker/session/cursor.h"
#include "worker/protocol/protocols.h"

void input_ready(struct protocols *protocols, session_id sid);	/* there is something to receive */
void input_resume(struct protocols *protocols, session_id sid);	/* deals with what is in the session's buffer already */
void input_stall(struct protocols *protocols, session_id sid);	/* input_resume() when others had their turn */
bool input_retry_stalled(struct protocols *protocols);	/* true when some are left that could go on */

/* One for each transport: deals with one unit of the input (a frame, a request) at the cursor, if it is there whole. False: there is nothing more
 * to do. */
bool flash_step(struct protocols *protocols, struct cursor *c);
bool packet_step(struct protocols *protocols, struct cursor *c);
bool http_step(struct protocols *protocols, struct cursor *c);
bool websocket_step(struct protocols *protocols, struct cursor *c);

/* Sends more than flood_messages allows: this unit is not dealt with, and the session ends. Returns false. For transports whose answers do not say
 * to what. */
bool input_end_flood(struct protocols *protocols, struct cursor *c);

/* A client of the flash socket has been silent in the middle of a frame: if it takes line feeds for the ends of frames it is told that they are none,
 * once a frame. Whatever it sends is dealt with as ever. */
void flash_hint(struct protocols *protocols, session_id sid);

#endif

/*
 * What each transport has for input.c, which receives: a function that deals with one unit of the input (a frame, a request) at the cursor, if
 * it is there whole. False when there is nothing more to do.
 */
#ifndef WORKER_PROTOCOL_INPUT_H
#define WORKER_PROTOCOL_INPUT_H

#include "worker/session/cursor.h"

bool flash_step(struct worker *w, struct cursor *c);
bool packet_step(struct worker *w, struct cursor *c);
bool http_step(struct worker *w, struct cursor *c);
bool websocket_step(struct worker *w, struct cursor *c);

/* Sends more than flood_messages allows: this unit is not dealt with, and the session ends. Returns false. For transports whose answers do not say
 * to what. */
bool input_end_flood(struct worker *w, struct cursor *c);

#endif

/*
 * What a session is sent outside of a fan-out, along its own stream: the rest of a frame that was cut, the out buffer, then, if it is behind,
 * the records that it is owed.
 */
#ifndef WORKER_DELIVERY_OUTPUT_H
#define WORKER_DELIVERY_OUTPUT_H

#include "worker/session/session.h"

/* Sends the out buffer, unless the session already waits for writability. */
void output_flush(struct worker *w, int fd);
/* It is writable: sends along its stream until it would block, its share is used up or it is up to date. True: its answers have been read, and its
 * input, which waited for that, may go on. */
bool output_run(struct worker *w, int fd);
/* With slow = disconnect: ends the session if the ring has overtaken it, though it may never be writable again. */
void output_check(struct worker *w, int fd);

#endif

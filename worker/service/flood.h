/*
 * What connections send in a second (flood_messages, flood_bytes).
 */
#ifndef WORKER_SERVICE_FLOOD_H
#define WORKER_SERVICE_FLOOD_H

#include "worker/session/cursor.h"

/* Counts what was received. True: it is too much in this second. */
bool flood_bytes(struct worker *w, int fd, size_t bytes);
/* Counts what the cursor has dealt with. */
void flood_count(struct worker *w, struct cursor *c);

#endif

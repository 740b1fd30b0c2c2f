/*
 * Sessions' input: received, and dealt with by the transport that the session speaks.
 */
#ifndef WORKER_PROTOCOL_INPUT_H
#define WORKER_PROTOCOL_INPUT_H

#include "worker/worker.h"

void input_ready(struct worker *w, int fd);	/* there is something to receive */
void input_resume(struct worker *w, int fd);	/* deals with what is in the session's buffer already */
void input_stall(struct worker *w, int fd);	/* input_resume() when others had their turn */
bool input_retry_stalled(struct worker *w);	/* true when some are left that could go on */

#endif

/*
 * Sending to one session, outside of the fan-out, along its own stream: the rest of a frame that was cut; then the out buffer; then, if the session
 * is behind, the records that it is owed.
 */
#ifndef WORKER_DELIVERY_OUTPUT_H
#define WORKER_DELIVERY_OUTPUT_H

#include "worker/delivery/multi_topic.h"
#include "worker/delivery/partial_frame.h"

struct output {
	struct base *base;
	struct batch *batch;
	struct topics *topics;
	struct partial_frames *partial;
	struct streams *streams;
	struct multi_topic *multi_topic;
};

/* Sends the rest of a cut frame and the out buffer, unless the session already waits for writability. */
void output_flush(struct output *o, session_id sid);
/* The same of a session that has nothing but an out buffer to be sent, together with those of others: as part of the batch, which is flushed before anything else is done for the session. */
void output_add(struct output *o, session_id sid);
/*
 * For a session that is writable: sends along its stream until the socket is full, the session's share is used up or it is up to date. True: its
 * answers are sent, so its input, which has waited for that, may go on; then records come the next time.
 */
bool output_run(struct output *o, session_id sid);
/* For a session behind that may never be writable again, where `slow` says disconnect: ends it if it has been overtaken. */
void output_check(struct output *o, session_id sid);

#endif

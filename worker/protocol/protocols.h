/*
 * What the protocols have in common: what they stand on, and the input that waits.
 */
#ifndef WORKER_PROTOCOL_PROTOCOLS_H
#define WORKER_PROTOCOL_PROTOCOLS_H

#include "proto/json.h"
#include "proto/vocabulary.h"
#include "worker/delivery/output.h"
#include "worker/service/service.h"

struct protocols {
	struct base *base;
	struct topics *topics;
	struct multi_topic *multi_topic;
	struct output *output;
	struct service *service;

	struct json json;		/* tokens of the text at hand */
	struct error_text why;		/* of the request at hand: what is wrong, if that has a word of the client's in it */

	/* input.c */
	session_id *stalled;			/* sessions whose publishing is put off */
	uint32_t stalled_count, stalled_room;
	uint64_t heavy_since;		/* since when large ones among them are passed over, milliseconds; 0: none is */
	struct ev_timer retry;		/* runs while there are some: only a turn of the loop, in which they are tried again */
};

#endif

/*
 * What is kept of a topic: in history (shm/history.h) and in the ring. Nothing is subscribed.
 */
#ifndef WORKER_SERVICE_HISTORY_QUERY_H
#define WORKER_SERVICE_HISTORY_QUERY_H

#include "worker/service/replay.h"
#include "worker/service/subscribe.h"

#define HISTORY_LIMIT 100		/* messages in an answer, where nothing is said */
#define HISTORY_LIMIT_MAX 1000

/* Only messages behind `since` (kind RESUME_SINCE) and before `before` (kind RESUME_SINCE). With `since` the oldest of them, else the newest. */
struct history_query {
	struct topic_name name;
	struct resume since, before;
	unsigned limit;			/* 1 to HISTORY_LIMIT_MAX */
};

/* One message of the answer, as a line of JSON. */
struct history_result {
	struct replay replay;		/* with `since`: recovered, missing */
	uint64_t position;		/* the last message's sequence; of none the ring's last one: to go on from there */
	struct position stream;		/* the same by ids of the stream that all nodes share; epoch 0: by that sequence */
	unsigned count;
	bool more;			/* behind the last one there are further ones that were asked for */
};

/*
 * Writes the messages as JSON objects with commas between them, oldest first, to dst[0..room), as many as there are, up to the limit and up to about
 * `most` bytes (the first one may be longer). Returns their length.
 */
size_t history_query(struct service *service, const struct history_query *query, char *dst, size_t room, size_t most, struct history_result *result);

/* Writes a record as one of these objects, with `comma` behind a comma. Its length. 0: the record was overwritten, or is none for frames; or there is no room left. */
size_t history_put(const struct base *base, enum message_to to, const struct ring_record *rec, bool comma, char *dst, size_t room);

#endif

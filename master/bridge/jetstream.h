/*
 * What JetStream says, read: the JSON of its answers, and the addresses that its messages have (docs.nats.io/reference/reference-protocols/nats_api_reference).
 */
#ifndef MASTER_BRIDGE_JETSTREAM_H
#define MASTER_BRIDGE_JETSTREAM_H

#include "master/bridge/bridge.h"

/* The text of an answer, as long as the message is there. */
struct message_range jetstream_answer(natsMsg *msg);

/* The value of a member of a JSON object. False: there is none. */
bool jetstream_member(struct message_range object, const char *name, struct message_range *value);
/* The same, a number; 0 if there is none. */
uint64_t jetstream_number(struct message_range object, const char *name);

/* Milliseconds since 1970 of a value like "2026-01-02T03:04:05.678901Z", with its quotes; 0: it is none. */
uint64_t jetstream_time(struct message_range value);

/* What is wrong with the answer, in why[size]; its code, 0: nothing is. */
uint64_t jetstream_error(struct message_range answer, char *why, size_t size);

/* A message's sequence in the stream, its ordinal of the consumer's, and how many follow it: they stand in its address for replies. False: it is no message of a consumer's. */
bool jetstream_numbers(const char *subject, uint64_t *seq, uint64_t *ordinal, uint64_t *pending);

#endif

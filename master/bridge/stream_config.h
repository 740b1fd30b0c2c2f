/*
 * How the stream is made that all nodes have, where there is none; and what is to be known of one that is there: its subjects, and when it was made.
 */
#ifndef MASTER_BRIDGE_STREAM_CONFIG_H
#define MASTER_BRIDGE_STREAM_CONFIG_H

#include "master/bridge/interest.h"

#define STREAM_CONFIG_MAX (HISTORY_RULES_MAX * (SUBJECT_MAX + 64) + 2048)

/* What JetStream is asked to make, JSON, terminated. */
void stream_config_write(const struct bridge *b, const struct interest *i, unsigned replicas, char text[STREAM_CONFIG_MAX]);

/* The subjects of all rules, each once, and whole: the next one from *n on. False: there are no more. */
bool stream_config_subject(const struct interest *i, unsigned *n, char subject[BRIDGE_SUBJECT]);

/*
 * The stream's configuration, JSON, with the rules' subjects that it lacks; nothing is taken from it but subjects that these have in them. Terminated, and to be freed. NULL: it lacks none; or it can't be given any, as
 * it has none of its own (a mirror), or there is no memory.
 */
char *stream_config_extend(const struct interest *i, struct message_range config);

/* Whether one of a stream's subjects, a JSON array, has all that fits this one. */
bool stream_config_has(struct message_range list, const char *subject);

/*
 * What ids of its messages begin with: when it was made. What servers of a cluster say of that differs by some milliseconds in the first moments, so in the stream that a node makes it is written down, and for those that others
 * have made some time before, it is what the servers say. 0: it can't be read.
 */
uint64_t stream_config_epoch(struct message_range config, struct message_range created, bool *exact);

#endif

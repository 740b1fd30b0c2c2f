/*
 * Presence: who is on a topic. One subscribes `news@presence` to be told of the topic `news` which users, logged in, subscribe it: at first all of
 * them, in one message or several, then who comes and who goes. These are messages as any other, and look like
 *
 *   {"topic":"news@presence","event":"members","data":{"users":["alice","bob"],"more":0}}
 *   {"topic":"news@presence","event":"subscribed","data":{"user":"carol"}}
 *   {"topic":"news@presence","event":"unsubscribed","data":{"user":"bob"}}
 *
 * `more`: how many users follow in further such messages. Lists have no id, as they are no messages of the ring.
 */
#ifndef PROTO_PRESENCE_H
#define PROTO_PRESENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/sink.h"

#define PRESENCE_SUFFIX "@presence"
#define PRESENCE_SUFFIX_LEN (sizeof(PRESENCE_SUFFIX) - 1)

/* Said to who wants to publish there. */
#define NAME_IS_PRESENCE "the topic is reserved: what is told of who is on a topic comes from the server"

/* Whether the name ends as those do that tell of a topic. */
bool presence_in(const char *name, size_t len);

/*
 * The length of the topic that the name tells of, as which it begins. 0: it does not: it has no such end, or what stands before it is a
 * pattern, has an @, or is nothing.
 */
size_t presence_topic(const char *name, size_t len);

/* Writes the name that tells of this topic to dst[0..len + PRESENCE_SUFFIX_LEN). Returns that length. */
size_t presence_name(char *dst, const char *topic, size_t len);

/* Messages as the ring keeps them (message.h), `topic` without the suffix. */
void presence_put_change(struct sink *s, const char *topic, size_t topic_len, const char *user, size_t user_len, bool here);
#define PRESENCE_CHANGE_MAX 4096	/* bytes of it at most: names of 255 bytes, each of which takes up to six */
void presence_list_begin(struct sink *s, const char *topic, size_t topic_len);
void presence_list_add(struct sink *s, bool first, const char *user, size_t user_len);
void presence_list_end(struct sink *s, uint64_t more);
#define PRESENCE_LIST_END_MAX 32	/* bytes that presence_list_end() puts at most */

#endif

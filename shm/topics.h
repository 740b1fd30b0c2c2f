/*
 * Topics as a list shows them: what the index, the counts, the ring and history say of each, by topic number.
 *
 * A list is taken piece by piece, and each piece looks at so much and no more, so that it costs the same however many topics there are. Where it goes on
 * is a number: a topic keeps its own as long as it is there, so one that is there all the time comes once, whatever comes and goes meanwhile.
 * What only users and everybody are sent is no topic, and never shown.
 *
 * A worker holds the hub lock for each call. janusctl, which can't, may call without: then a topic that comes or goes at that very moment may be shown
 * with numbers of before or after, or be left out.
 */
#ifndef SHM_TOPICS_H
#define SHM_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/hub.h"

struct topic_info {
	uint32_t number, generation;
	uint64_t subscribers;
	uint64_t published;		/* since it is there: since it last had neither subscribers nor history */
	uint64_t last;			/* sequence of its newest message, 0: none */
	uint64_t rate;			/* messages in 1000 seconds, of the last seconds */
	uint64_t messages, bytes;	/* in history */
	bool kept;			/* whether it has a history */
	uint8_t name_len;
	char name[TOPIC_NAME_MAX];	/* not terminated */
};

struct topics_scan {
	uint32_t next;			/* the number to go on with; 1 at first, 0: there are no more */
	unsigned looks;			/* how much more may be looked at: a topic is one, each worker that has subscribers of it another one */
	const char *prefix;
	size_t prefix_len;
};

/* Fills in up to `most` topics that begin with the prefix, and says in the scan where it goes on. How many; fewer if the looks are used up, or there are no more. */
unsigned topics_scan(const struct hub *hub, struct topics_scan *scan, uint64_t now, struct topic_info *dst, unsigned most);

/* What a list of the greatest is put in order by. */
struct topic_weight {
	uint64_t subscribers, published;
	uint32_t number, generation;
};

/*
 * Weighs one topic: with a million of them, looking at little memory of each is what counts. Which are shown is then read again, if they still have
 * their generation. False: it is none that is shown, or does not begin with the prefix.
 */
bool topics_weigh(const struct hub *hub, uint32_t number, const char *prefix, size_t prefix_len, struct topic_weight *weight);

/* One topic, which is in the index. `now`: microseconds since 1970. False: it is none that is shown. */
bool topics_read(const struct hub *hub, uint32_t number, uint64_t now, struct topic_info *info);

#endif

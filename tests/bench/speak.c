#include "tests/bench/speak.h"

#include <string.h>

#include "tests/bench/wire.h"

static const struct speak *const all[] = {
	&speak_flash, &speak_ws, &speak_actions, &speak_sse, &speak_json_lines, &speak_packet, &speak_http,
	&speak_redis, &speak_nats, &speak_mqtt, &speak_nchan, &speak_nchan_sse, &speak_jetstream,
};
#define ALL (sizeof(all) / sizeof(all[0]))

const struct speak *speak_find(const char *name)
{
	for (size_t i = 0; i < ALL; i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}

bool speak_knows_scheme(const char *scheme, size_t len)
{
	for (size_t i = 0; i < ALL; i++)
		if (strlen(all[i]->scheme) == len && !memcmp(all[i]->scheme, scheme, len))
			return true;
	return false;
}

size_t speak_subscribe_some(const struct speak *speak, char *dst, uint32_t stream, uint32_t *asked)
{
	size_t n = speak->open && *asked == 0 ? speak->open(dst) : 0;
	char topic[WIRE_TOPIC_MAX];

	for (uint32_t end = *asked + SPEAK_SUBSCRIBE_SOME; *asked < end && *asked < wire_topics(); ++*asked) {
		wire_subscription(topic, wire_topic_number(stream, *asked));
		n += speak->subscribe(dst + n, topic, *asked);
	}
	return speak->subscribed && *asked == wire_topics() ? n + speak->subscribed(dst + n) : n;
}

uint32_t speak_acks(const struct speak *speak)
{
	return speak->one_ack ? 1 : wire_topics();
}

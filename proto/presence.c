/*
 * Presence: names and messages. See presence.h.
 */
#include "proto/presence.h"

#include <string.h>

#include "proto/wildcard.h"

bool presence_in(const char *name, size_t len)
{
	return len >= PRESENCE_SUFFIX_LEN && memcmp(name + len - PRESENCE_SUFFIX_LEN, PRESENCE_SUFFIX, PRESENCE_SUFFIX_LEN) == 0;
}

size_t presence_topic(const char *name, size_t len)
{
	size_t topic = presence_in(name, len) ? len - PRESENCE_SUFFIX_LEN : 0;

	return topic > 0 && !memchr(name, '@', topic) && !wildcard_in(name, topic) ? topic : 0;
}

size_t presence_name(char *dst, const char *topic, size_t len)
{
	memcpy(dst, topic, len);
	memcpy(dst + len, PRESENCE_SUFFIX, PRESENCE_SUFFIX_LEN);
	return len + PRESENCE_SUFFIX_LEN;
}

static void put_head(struct sink *s, const char *topic, size_t topic_len, const char *event)
{
	sink_literal(s, "\"topic\":\"");
	sink_json(s, topic, topic_len);
	sink_literal(s, PRESENCE_SUFFIX "\",\"event\":\"");
	sink_text(s, event);
	sink_literal(s, "\",\"data\":{");
}

static void put_user(struct sink *s, const char *user, size_t user_len)
{
	sink_byte(s, '"');
	sink_json(s, user, user_len);
	sink_byte(s, '"');
}

void presence_put_change(struct sink *s, const char *topic, size_t topic_len, const char *user, size_t user_len, bool here)
{
	put_head(s, topic, topic_len, here ? "subscribed" : "unsubscribed");
	sink_literal(s, "\"user\":");
	put_user(s, user, user_len);
	sink_literal(s, "}}");
}

void presence_list_begin(struct sink *s, const char *topic, size_t topic_len)
{
	put_head(s, topic, topic_len, "members");
	sink_literal(s, "\"users\":[");
}

void presence_list_add(struct sink *s, bool first, const char *user, size_t user_len)
{
	if (!first)
		sink_byte(s, ',');
	put_user(s, user, user_len);
}

void presence_list_end(struct sink *s, uint64_t more)
{
	sink_literal(s, "],\"more\":");
	sink_number(s, more);
	sink_literal(s, "}}");
}

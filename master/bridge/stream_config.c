/*
 * How the stream is made. See stream_config.h.
 */
#include "master/bridge/stream_config.h"

#include <stdlib.h>
#include <string.h>

#include "master/bridge/jetstream.h"
#include "proto/json_walk.h"

#define DUPLICATES_MS 120000		/* within which a message's id is known, at least: it may be sent again so long */
#define MADE "Janus, made at "		/* description of a stream that we make; and the milliseconds since 1970 */

/* Whether all that fits one subject fits the other. */
static bool covers(const char *wide, const char *subject)
{
	while (*wide && *subject) {
		size_t a = strcspn(wide, "."), b = strcspn(subject, ".");

		if (a == 1 && *wide == '>')
			return true;
		if (!(a == 1 && *wide == '*' && *subject != '>') && (a != b || memcmp(wide, subject, a) != 0))
			return false;
		wide += a + (wide[a] == '.');
		subject += b + (subject[b] == '.');
	}
	return !*wide && !*subject;
}

bool stream_config_subject(const struct interest *i, unsigned *n, char subject[BRIDGE_SUBJECT])
{
	char other[BRIDGE_SUBJECT];

	while (interest_subject(i, *n, subject)) {
		bool covered = false;

		for (unsigned k = 0; !covered && interest_subject(i, k, other); k++)
			covered = k != *n && covers(other, subject) && !(covers(subject, other) && *n < k);
		++*n;
		if (!covered)
			return true;
	}
	return false;
}

/* The longest that a rule keeps anything, in seconds; 0: there is one without an end. (A little at least, so that a node may be away for a moment.) */
static uint64_t longest_age(const struct bridge *b)
{
	uint64_t most = DUPLICATES_MS / 1000;

	for (unsigned i = 0; i < b->hub.rules.count; i++) {
		const struct history_rule *r = &b->hub.rules.rule[i];

		if (r->messages > 0 && r->age == UINT64_MAX)
			return 0;
		if (r->messages > 0 && r->age / 1000000 > most)
			most = r->age / 1000000;
	}
	return most;
}

/* How long the stream is to know a message by its id: as keys of publishes count elsewhere. JetStream has it no longer than messages. */
static uint64_t duplicates_ms(const struct bridge *b, uint64_t age)
{
	uint64_t ms = (uint64_t)b->settings.once_time > DUPLICATES_MS ? (uint64_t)b->settings.once_time : DUPLICATES_MS;

	return age && 1000 * age < ms ? 1000 * age : ms;
}

void stream_config_write(const struct bridge *b, const struct interest *i, unsigned replicas, char text[STREAM_CONFIG_MAX])
{
	uint64_t age = longest_age(b);
	char subject[BRIDGE_SUBJECT];
	struct sink to = { .dst = text, .room = STREAM_CONFIG_MAX - 1 };
	unsigned n = 0;

	sink_literal(&to, "{\"name\":\"");
	sink_json(&to, b->settings.nats_stream, strlen(b->settings.nats_stream));
	sink_literal(&to, "\",\"description\":\"" MADE);
	sink_number(&to, hub_now() / 1000);
	sink_literal(&to, "\",\"subjects\":[");
	for (const char *comma = ""; stream_config_subject(i, &n, subject); comma = ",") {
		sink_text(&to, comma);
		sink_literal(&to, "\"");
		sink_json(&to, subject, strlen(subject));
		sink_literal(&to, "\"");
	}
	sink_literal(&to, "],\"retention\":\"limits\",\"storage\":\"file\",\"discard\":\"old\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_age\":");
	sink_number(&to, age * 1000000000);
	sink_literal(&to, ",\"duplicate_window\":");
	sink_number(&to, duplicates_ms(b, age) * 1000000);
	sink_literal(&to, ",\"num_replicas\":");
	sink_number(&to, replicas);
	sink_literal(&to, "}");
	text[sink_end(&to)] = '\0';
}

uint64_t stream_config_epoch(struct message_range config, struct message_range created, bool *exact)
{
	const size_t start = sizeof("\"" MADE) - 1;
	struct message_range text;
	uint64_t epoch = 0;

	*exact = jetstream_member(config, "description", &text) && text.len > start && memcmp(text.p, "\"" MADE, start) == 0;
	if (!*exact)
		return jetstream_time(created);
	for (size_t i = start; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++)
		epoch = 10 * epoch + (uint64_t)(text.p[i] - '0');
	return epoch;
}

/* The next of a stream's subjects, and it as it stands in the JSON. *p: the list's start, or what was left there. */
static bool next_subject(struct message_range list, const char **p, struct message_range *json, char subject[BRIDGE_SUBJECT])
{
	const char *end = list.p + list.len, *after;
	struct sink to = { .dst = subject, .room = BRIDGE_SUBJECT - 1 };

	*p = json_walk_space(*p, end);
	if (*p < end)		/* the bracket, or a comma */
		*p = json_walk_space(*p + 1, end);
	if (*p >= end || **p != '"' || (after = json_walk_scalar(*p, end)) == NULL)
		return false;
	*json = (struct message_range){ *p, (size_t)(after - *p) };
	json_put_string(&to, json->p, json->len, sink_bytes);
	subject[sink_end(&to)] = '\0';
	*p = after;
	return true;
}

bool stream_config_has(struct message_range list, const char *subject)
{
	struct message_range json;
	char wide[BRIDGE_SUBJECT];

	for (const char *p = list.p; next_subject(list, &p, &json, wide); )
		if (covers(wide, subject))
			return true;
	return false;
}

/* The rules' next subject that the list lacks. */
static bool next_lacking(const struct interest *i, struct message_range list, unsigned *n, char subject[BRIDGE_SUBJECT])
{
	while (stream_config_subject(i, n, subject))
		if (!stream_config_has(list, subject))
			return true;
	return false;
}

/* (NATS may refuse subjects of one stream that overlap.) */
static bool is_in_one_lacking(const struct interest *i, struct message_range list, const char *subject)
{
	char lacking[BRIDGE_SUBJECT];
	unsigned n = 0;

	while (next_lacking(i, list, &n, lacking))
		if (covers(lacking, subject))
			return true;
	return false;
}

static void put_subjects(struct sink *to, const struct interest *i, struct message_range list)
{
	char subject[BRIDGE_SUBJECT];
	struct message_range json;
	const char *comma = "";
	unsigned n = 0;

	for (const char *p = list.p; next_subject(list, &p, &json, subject); ) {
		if (is_in_one_lacking(i, list, subject))
			continue;
		sink_text(to, comma);
		sink_bytes(to, json.p, json.len);
		comma = ",";
	}
	for (; next_lacking(i, list, &n, subject); comma = ",") {
		sink_text(to, comma);
		sink_literal(to, "\"");
		sink_json(to, subject, strlen(subject));
		sink_literal(to, "\"");
	}
}

char *stream_config_extend(const struct interest *i, struct message_range config)
{
	struct sink to = { .room = config.len + STREAM_CONFIG_MAX - 1 };
	char subject[BRIDGE_SUBJECT];
	struct message_range list;
	unsigned n = 0;

	if (!jetstream_member(config, "subjects", &list) || list.len < 2 || !next_lacking(i, list, &n, subject) || (to.dst = malloc(to.room + 1)) == NULL)
		return NULL;
	sink_bytes(&to, config.p, (size_t)(list.p - config.p));
	sink_literal(&to, "[");
	put_subjects(&to, i, list);
	sink_literal(&to, "]");
	sink_bytes(&to, list.p + list.len, (size_t)(config.p + config.len - (list.p + list.len)));
	to.dst[sink_end(&to)] = '\0';
	return to.dst;
}

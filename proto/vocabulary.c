/*
 * The words of requests, and what is said of those that are none.
 */
#include "proto/vocabulary.h"

#include <string.h>

#include "proto/presence.h"
#include "proto/sink.h"
#include "proto/wildcard.h"

const char *const member_names[MEMBERS] = {
	[MEMBER_ACTION] = "action", [MEMBER_REF] = "ref", [MEMBER_TOPIC] = "topic", [MEMBER_USER] = "user", [MEMBER_DATA] = "data",
	[MEMBER_EVENT] = "event", [MEMBER_MESSAGE_ID] = "message_id", [MEMBER_RECEIPT] = "receipt", [MEMBER_NODES] = "nodes", [MEMBER_ENVELOPE] = "envelope",
	[MEMBER_SINCE] = "since", [MEMBER_LAST] = "last", [MEMBER_LAST_EVENT_ID] = "lastEventId",
	[MEMBER_BEFORE] = "before", [MEMBER_LIMIT] = "limit", [MEMBER_WAIT] = "wait",
	[MEMBER_PREFIX] = "prefix", [MEMBER_CURSOR] = "cursor",
	[MEMBER_TOKEN] = "token", [MEMBER_ID] = "id", [MEMBER_REASON] = "reason", [MEMBER_SUB] = "sub",
};

enum member member_find(const char *name, size_t len)
{
	unsigned m = 0;

	while (m < MEMBERS && (strlen(member_names[m]) != len || memcmp(member_names[m], name, len) != 0))
		m++;
	return (enum member)m;
}

unsigned member_bits(enum request_kind kind)
{
	switch (kind) {
	case REQUEST_SUBSCRIBE:
		return MEMBER_BIT(TOPIC) | MEMBERS_OF_RESUME;
	case REQUEST_UNSUBSCRIBE:
		return MEMBER_BIT(TOPIC);
	case REQUEST_LOGIN:
		return MEMBER_BIT(USER) | MEMBERS_OF_RESUME;
	case REQUEST_LOGOUT:
		return MEMBER_BIT(USER);
	case REQUEST_PUBLISH:
		return MEMBER_BIT(TOPIC) | MEMBERS_OF_MESSAGE;
	case REQUEST_SEND:
		return MEMBER_BIT(USER) | MEMBERS_OF_MESSAGE;
	case REQUEST_ATTACH:
		return MEMBER_BIT(TOKEN) | MEMBER_BIT(SINCE);
	case REQUEST_AUTH:
		return MEMBER_BIT(TOKEN);
	case REQUEST_PING:
	case REQUEST_UNKNOWN:
		break;
	}
	return 0;
}

const char *web_name_error(enum name_use use, const char *name, size_t len)
{
	const char *error = use == NAME_OF_USER ? message_user_error(name, len) : message_topic_error(name, len);

	if (error != NULL || use == NAME_OF_USER)
		return error;
	if (use == NAME_OF_TOPICS && presence_topic(name, len) > 0)
		return NULL;
	if (memchr(name, '@', len) != NULL)
		return "the topic is reserved: it has an @ in it";
	if (use == NAME_OF_TOPICS)
		return wildcard_error(name, len);
	return wildcard_in(name, len) ? NAME_IS_PATTERN : NULL;
}

/* How much of the text is shown: not cut inside a character. */
static size_t shown(const char *text, size_t len)
{
	size_t n = ERROR_WORD_MAX;

	if (len <= n)
		return len;
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static const char *write_error(struct error_text *dst, const char *before, const char *what, const char *word, size_t len, const char *after)
{
	struct sink s = { .dst = dst->text, .room = sizeof(dst->text) };
	size_t n = shown(word, len);

	sink_text(&s, before);
	sink_text(&s, what);
	sink_literal(&s, " \"");
	sink_json(&s, word, n);
	sink_text(&s, n < len ? "...\"" : "\"");
	sink_text(&s, after);
	sink_byte(&s, '\0');
	return dst->text;
}

const char *error_unknown(struct error_text *dst, const char *what, const char *word, size_t len)
{
	return write_error(dst, "unknown ", what, word, len, "");
}

const char *error_of(struct error_text *dst, const char *sentence, const char *word, size_t len)
{
	return write_error(dst, "", sentence, word, len, "");
}

const char *error_twice(struct error_text *dst, const char *what, const char *word)
{
	return write_error(dst, "the ", what, word, strlen(word), " stands twice");
}

/*
 * Requests of clients that talk JSON. Members that decide something are known by their names after escapes are resolved, and must
 * stand only once: which of two would count differs between JSON parsers, and subscribers get both.
 */
#include "proto/message.h"

#include <assert.h>
#include <string.h>

#include "proto/utf8.h"

#define ACTION_MAX 16	/* bytes; a longer action is an unknown one */

const char *message_topic_error(const char *topic, size_t len)
{
	const uint8_t *p = (const uint8_t *)topic, *end = p + len;

	if (len == 0)
		return "the topic is empty";
	if (len > MESSAGE_TOPIC_MAX)
		return "the topic is longer than 255 bytes";
	while (p < end) {
		size_t n = *p < 0x80 ? 1 : utf8_length(p, end);

		if (n == 0)
			return "the topic is not UTF-8";
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] <= 0x9f))
			return "the topic has a control character in it";
		p += n;
	}
	return NULL;
}

/* Sets *found to the member called `name`, NULL if there is none. -1 if there are two. */
static int find(const struct json *json, const char *name, const struct json_member **found)
{
	*found = NULL;
	for (unsigned i = 0; i < json->count; i++) {
		if (!json_name_is(&json->members[i], name))
			continue;
		if (*found != NULL)
			return -1;
		*found = &json->members[i];
	}
	return 0;
}

/* The sentences for one member that holds a topic. */
struct topic_errors {
	const char *none, *twice, *type;
};

static const struct topic_errors topic_errors = {
	"no topic", "the topic stands twice", "the topic is not a string",
};
static const struct topic_errors data_errors = {
	"no data: it names the topic", "data stands twice", "data is not a string: it names the topic",
};

static int read_topic(const struct json *json, const char *name, const struct topic_errors *errors, struct request *req,
		      const char **error)
{
	const struct json_member *member;
	ssize_t len;

	if (find(json, name, &member) < 0) {
		*error = errors->twice;
		return -1;
	}
	if (member == NULL || member->type != JSON_STRING) {
		*error = member == NULL ? errors->none : errors->type;
		return -1;
	}
	len = json_string(member->value, member->value_len, req->topic, sizeof(req->topic));
	*error = message_topic_error(req->topic, len < 0 ? MESSAGE_TOPIC_MAX + 1 : (size_t)len);
	if (*error != NULL)
		return -1;
	req->topic_len = (uint8_t)len;
	return 0;
}

/* Takes the members that are not to be sent out of the array, and adds up what the others need. */
static void select_members(struct json *json, bool drop_action, struct request *req)
{
	unsigned kept = 0;

	req->size = 0;
	for (unsigned i = 0; i < json->count; i++) {
		const struct json_member *member = &json->members[i];

		if (json_name_is(member, "timestamp") || (drop_action && json_name_is(member, "action")))
			continue;
		req->size += (size_t)member->name_len + 1 + member->value_len + 1;	/* colon; comma or } */
		json->members[kept++] = *member;
	}
	json->count = kept;
	req->members = json->members;
	req->count = kept;
}

static int read_publish(struct json *json, bool is_action, struct request *req, const char **error)
{
	req->kind = REQUEST_PUBLISH;
	if (read_topic(json, "topic", &topic_errors, req, error) < 0)
		return -1;
	select_members(json, is_action, req);
	return 0;
}

static enum request_kind kind_of(const struct json_member *action)
{
	char name[ACTION_MAX];
	ssize_t len = json_string(action->value, action->value_len, name, sizeof(name));

	if (len == 7 && memcmp(name, "publish", 7) == 0)
		return REQUEST_PUBLISH;
	if (len == 9 && memcmp(name, "subscribe", 9) == 0)
		return REQUEST_SUBSCRIBE;
	if (len == 11 && memcmp(name, "unsubscribe", 11) == 0)
		return REQUEST_UNSUBSCRIBE;
	return REQUEST_UNKNOWN;
}

static void clear(struct request *req)
{
	req->kind = REQUEST_UNKNOWN;
	req->topic_len = 0;
	req->members = NULL;
	req->count = 0;
	req->size = 0;
}

int request_parse(struct json *json, const char *text, size_t len, struct request *req, const char **error)
{
	const struct json_member *action;

	clear(req);
	if (json_object(json, text, len, error) < 0)
		return -1;
	if (find(json, "action", &action) < 0) {
		*error = "the action stands twice";
		return -1;
	}
	if (action == NULL || action->type != JSON_STRING) {
		*error = action == NULL ? "no action" : "the action is not a string";
		return -1;
	}
	req->kind = kind_of(action);
	switch (req->kind) {
	case REQUEST_PUBLISH:
		return read_publish(json, true, req, error);
	case REQUEST_SUBSCRIBE:
	case REQUEST_UNSUBSCRIBE:
		return read_topic(json, "data", &data_errors, req, error);
	case REQUEST_UNKNOWN:
		break;
	}
	return 0;
}

int request_parse_publish(struct json *json, const char *text, size_t len, struct request *req, const char **error)
{
	clear(req);
	if (json_object(json, text, len, error) < 0)
		return -1;
	return read_publish(json, false, req, error);
}

void request_message(const struct request *req, char *dst)
{
	assert(req->kind == REQUEST_PUBLISH && req->count > 0);
	for (unsigned i = 0; i < req->count; i++) {
		const struct json_member *member = &req->members[i];

		memcpy(dst, member->name, member->name_len);
		dst += member->name_len;
		*dst++ = ':';
		memcpy(dst, member->value, member->value_len);
		dst += member->value_len;
		*dst++ = ',';
	}
	dst[-1] = '}';
}

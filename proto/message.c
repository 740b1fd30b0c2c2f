/*
 * Requests of the flash socket, and what all requests in JSON have in common. Members that decide something are known by their names after escapes
 * are resolved, and must stand only once: which of two would count differs between JSON parsers, and subscribers get both.
 */
#include "proto/message.h"

#include <assert.h>
#include <string.h>

#include "proto/utf8.h"
#include "proto/presence.h"
#include "proto/wildcard.h"

#define ACTION_MAX 16	/* bytes; a longer action is an unknown one */

/* A kind of name: how long it may be, and the sentences for one that breaks the rules. */
struct name_rules {
	size_t max;
	const char *empty, *too_long, *not_utf8, *control;
};

static const struct name_rules topic_rules = {
	MESSAGE_TOPIC_MAX, "the topic is empty", "the topic is longer than 255 bytes", "the topic is not UTF-8",
	"the topic has a control character in it",
};
static const struct name_rules id_rules = {
	MESSAGE_USER_MAX, "the id is empty", "the id is longer than 254 bytes", "the id is not UTF-8",
	"the id has a control character in it",
};
static const struct name_rules user_rules = {
	MESSAGE_USER_MAX, "the user is empty", "the user is longer than 254 bytes", "the user is not UTF-8",
	"the user has a control character in it",
};

static const char *name_error(const struct name_rules *rules, const char *name, size_t len)
{
	const uint8_t *p = (const uint8_t *)name, *end = p + len;

	if (len == 0)
		return rules->empty;
	if (len > rules->max)
		return rules->too_long;
	while (p < end) {
		size_t n = *p < 0x80 ? 1 : utf8_length(p, end);

		if (n == 0)
			return rules->not_utf8;
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] <= 0x9f))
			return rules->control;
		p += n;
	}
	return NULL;
}

const char *message_topic_error(const char *topic, size_t len)
{
	return name_error(&topic_rules, topic, len);
}

const char *message_user_error(const char *user, size_t len)
{
	return name_error(&user_rules, user, len);
}

const char *message_id_error(const char *id, size_t len)
{
	return name_error(&id_rules, id, len);
}

/* Sets *found to the member called `name`, NULL if there is none. -1 if there are two. */
static inline int find(const struct json *json, const char *name, const struct json_member **found)
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

/* The member that holds an action's topic or id, and the sentences for one that does not. */
struct name_member {
	const char *member;
	const struct name_rules *rules;
	const char *none, *twice, *type;
	const char *(*error)(const char *name, size_t len);	/* what else may be wrong with it; NULL: nothing */
};

/* A message goes to one topic, and what is said of who is on a topic is the server's. */
static const char *publish_error(const char *name, size_t len)
{
	return wildcard_in(name, len) ? NAME_IS_PATTERN : presence_in(name, len) ? NAME_IS_PRESENCE : NULL;
}

static const struct name_member topic_member = {
	"topic", &topic_rules, "no topic", "the topic stands twice", "the topic is not a string", publish_error,
};
static const struct name_member to_member = {
	"to", &id_rules, "no member to: it is the id", "the member to stands twice", "the member to is not a string: it is the id", NULL,
};
static const struct name_member data_topic_member = {
	"data", &topic_rules, "no data: it names the topic", "data stands twice", "data is not a string: it names the topic", wildcard_error,
};
static const struct name_member data_id_member = {
	"data", &id_rules, "no data: it is the id", "data stands twice", "data is not a string: it is the id", NULL,
};

static int read_name(const struct json *json, const struct name_member *want, struct json_request *req, const char **error)
{
	const struct json_member *found;
	ssize_t len;

	if (find(json, want->member, &found) < 0) {
		*error = want->twice;
		return -1;
	}
	if (found == NULL || found->type != JSON_STRING) {
		*error = found == NULL ? want->none : want->type;
		return -1;
	}
	len = json_read_string(found->value, found->value_len, req->name, sizeof(req->name));
	*error = name_error(want->rules, req->name, len < 0 ? sizeof(req->name) + 1 : (size_t)len);
	if (*error == NULL && want->error != NULL)
		*error = want->error(req->name, (size_t)len);
	if (*error != NULL)
		return -1;
	req->name_len = (uint8_t)len;
	return 0;
}

void json_request_select(const struct json *json, unsigned count, struct json_request *req)
{
	req->members = json->members;
	req->count = count;
	req->size = 0;
	for (unsigned i = 0; i < count; i++)
		req->size += (size_t)json->members[i].name_len + 1 + json->members[i].value_len + 1;	/* colon; comma or } */
}

/* Takes the members that are not to be sent out of the array. */
static void select_members(struct json *json, bool drop_action, struct json_request *req)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < json->count; i++) {
		const struct json_member *member = &json->members[i];

		if (!json_name_is(member, "timestamp") && !(drop_action && json_name_is(member, "action")))
			json->members[kept++] = *member;
	}
	json_request_select(json, kept, req);
}

void json_request_leave_out(struct json *json, const char *name, struct json_request *req)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < req->count; i++)
		if (!json_name_is(&json->members[i], name))
			json->members[kept++] = json->members[i];
	if (kept < req->count)
		json_request_select(json, kept, req);
}

enum request_kind request_kind_find(const char *name, size_t len)
{
	static const char *const names[REQUEST_UNKNOWN] = {
		[REQUEST_SUBSCRIBE] = "subscribe", [REQUEST_UNSUBSCRIBE] = "unsubscribe", [REQUEST_PUBLISH] = "publish",
		[REQUEST_LOGIN] = "login", [REQUEST_LOGOUT] = "logout", [REQUEST_SEND] = "send", [REQUEST_PING] = "ping",
		[REQUEST_ATTACH] = "attach", [REQUEST_AUTH] = "auth",
	};
	unsigned kind = 0;

	while (kind < REQUEST_UNKNOWN && (len != strlen(names[kind]) || memcmp(name, names[kind], len) != 0))
		kind++;
	return (enum request_kind)kind;
}

static int read_kind(const struct json *json, struct json_request *req, const char **error)
{
	const struct json_member *action;
	char name[ACTION_MAX];
	ssize_t len;

	if (find(json, "action", &action) < 0) {
		*error = "the action stands twice";
		return -1;
	}
	if (action == NULL || action->type != JSON_STRING) {
		*error = action == NULL ? "no action: subscribe, unsubscribe, publish, login, logout, send, attach and auth are known" : "the action is not a string";
		return -1;
	}
	len = json_read_string(action->value, action->value_len, name, sizeof(name));
	req->kind = len < 0 ? REQUEST_UNKNOWN : request_kind_find(name, (size_t)len);
	if (req->kind == REQUEST_PING)
		req->kind = REQUEST_UNKNOWN;
	return 0;
}

void json_request_clear(struct json_request *req)
{
	req->kind = REQUEST_UNKNOWN;
	req->resume.kind = RESUME_NOT;
	req->name_len = 0;
	req->shown = NULL;
	req->shown_len = 0;
	req->names = req->ref = req->message_id = NULL;
	req->names_len = req->ref_len = req->message_id_len = 0;
	req->members = NULL;
	req->count = 0;
	req->everywhere = false;
	req->size = 0;
}

static int read_token(const struct json *json, struct json_request *req, const char **error)
{
	const struct json_member *found;
	char text[TOKEN_TEXT];
	ssize_t len;

	if (find(json, "data", &found) < 0)
		*error = "data stands twice";
	else if (found == NULL || found->type != JSON_STRING)
		*error = found == NULL ? "no data: it is the token" : "data is not a string: it is the token";
	else {
		len = json_read_string(found->value, found->value_len, text, sizeof(text));
		*error = token_read(req->token, text, len < 0 ? 0 : (size_t)len);
	}
	return *error == NULL ? 0 : -1;
}

/* No such token has a character that would have to be escaped, and none is read that has. */
const char *json_request_show(const struct json_member *member, struct json_request *req)
{
	if (member == NULL || member->type != JSON_STRING)
		return member == NULL ? "no token" : "the token is not a string";
	req->shown = member->value + 1;
	req->shown_len = member->value_len - 2;
	return memchr(req->shown, '\\', req->shown_len) ? "the token has an escaped character in it" : NULL;
}

static int read_shown(const struct json *json, struct json_request *req, const char **error)
{
	const struct json_member *token, *data;

	if (find(json, "token", &token) < 0 || find(json, "data", &data) < 0 || (token && data))
		*error = "the token stands twice";
	else
		*error = json_request_show(token ? token : data, req);
	return *error == NULL ? 0 : -1;
}

int json_request_parse(struct json *json, const char *text, size_t len, struct json_request *req, const char **error)
{
	json_request_clear(req);
	if (json_read_object(json, text, len, error) < 0 || read_kind(json, req, error) < 0)
		return -1;
	switch (req->kind) {
	case REQUEST_SUBSCRIBE:
	case REQUEST_UNSUBSCRIBE:
		return read_name(json, &data_topic_member, req, error);
	case REQUEST_LOGIN:
	case REQUEST_LOGOUT:
		return read_name(json, &data_id_member, req, error);
	case REQUEST_ATTACH:
		return read_token(json, req, error);
	case REQUEST_AUTH:
		return read_shown(json, req, error);
	case REQUEST_PUBLISH:
	case REQUEST_SEND:
		if (read_name(json, req->kind == REQUEST_SEND ? &to_member : &topic_member, req, error) < 0)
			return -1;
		select_members(json, true, req);
		break;
	case REQUEST_PING:
	case REQUEST_UNKNOWN:
		break;
	}
	return 0;
}

int json_request_parse_publish(struct json *json, const char *text, size_t len, struct json_request *req, const char **error)
{
	json_request_clear(req);
	if (json_read_object(json, text, len, error) < 0)
		return -1;
	req->kind = REQUEST_PUBLISH;
	if (read_name(json, &topic_member, req, error) < 0)
		return -1;
	select_members(json, false, req);
	return 0;
}

void json_request_write(const struct json_request *req, char *dst)
{
	assert((req->kind == REQUEST_PUBLISH || req->kind == REQUEST_SEND) && req->count > 0);
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

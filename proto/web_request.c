/*
 * The object's members are looked up once; what an action takes of them is vocabulary.c's.
 */
#include "proto/web_request.h"

#include <assert.h>

#include "proto/wildcard.h"

/* The object's members by what they are. */
struct found {
	const struct json_member *by[MEMBERS];
	const struct json_member *unknown;	/* the first that has no name of these; NULL: there is none */
	unsigned twice;				/* in bits: those that stand more than once; `by` has the last one */
};

static const char *unknown_member(struct error_text *why, const struct json_member *member)
{
	char name[6 * ERROR_WORD_MAX];
	ssize_t len = json_read_string(member->name, member->name_len, name, sizeof(name));

	if (len < 0)		/* too long: as it stands, then */
		return error_unknown(why, "member", member->name + 1, member->name_len - 2);
	return error_unknown(why, "member", name, (size_t)len);
}

/* The member's name is short if it is one of ours, also with escapes. */
static enum member kind_of(const struct json_member *member)
{
	char name[16];
	ssize_t len = json_read_string(member->name, member->name_len, name, sizeof(name));

	return len < 0 ? MEMBERS : member_find(name, (size_t)len);
}

static void look_up(const struct json *json, struct found *found)
{
	*found = (struct found){ 0 };
	for (unsigned i = 0; i < json->count; i++) {
		enum member m = kind_of(&json->members[i]);

		if (m == MEMBERS) {
			if (found->unknown == NULL)
				found->unknown = &json->members[i];
			continue;
		}
		if (found->by[m] != NULL)
			found->twice |= 1u << m;
		found->by[m] = &json->members[i];
	}
}

/* NULL, or why it is none. */
static const char *read_ref(const struct found *found, struct error_text *why, struct json_request *req)
{
	const struct json_member *ref = found->by[MEMBER_REF];

	if (ref == NULL)
		return NULL;
	if (found->twice & MEMBER_BIT(REF))
		return error_twice(why, "member", "ref");
	if (ref->type != JSON_STRING && ref->type != JSON_NUMBER)
		return "the ref is neither a string nor a number";
	if (ref->value_len > REQUEST_REF_MAX)
		return "the ref is longer than 255 bytes";
	req->ref = ref->value;
	req->ref_len = ref->value_len;
	return NULL;
}

static const char *read_action(const struct found *found, struct error_text *why, struct json_request *req)
{
	const struct json_member *action = found->by[MEMBER_ACTION];
	char name[16];		/* a longer action is an unknown one */
	ssize_t len;

	if (action == NULL || action->type != JSON_STRING)
		return action == NULL ? "no action: subscribe, unsubscribe, publish, login, logout, send, attach, auth and ping are known" : "the action is not a string";
	if (found->twice & MEMBER_BIT(ACTION))
		return error_twice(why, "member", "action");
	len = json_read_string(action->value, action->value_len, name, sizeof(name));
	req->kind = len < 0 ? REQUEST_UNKNOWN : request_kind_find(name, (size_t)len);
	return NULL;
}

/* Whether anything is there that the request does not take. */
static const char *refuse_others(const struct found *found, unsigned taken, struct error_text *why)
{
	if (found->unknown != NULL)
		return unknown_member(why, found->unknown);
	if (found->twice != 0)
		return error_twice(why, "member", member_names[__builtin_ctz(found->twice)]);
	for (unsigned m = 0; m < MEMBERS; m++)
		if (found->by[m] != NULL && !(taken & 1u << m))
			return unknown_member(why, found->by[m]);
	return NULL;
}

/* One name, whose quotes are there, into the request. */
static const char *read_one(const char *value, size_t value_len, struct json_request *req)
{
	ssize_t len = json_read_string(value, value_len, req->name, sizeof(req->name));
	const char *error = web_name_error(name_use_of(req->kind), req->name, len < 0 ? sizeof(req->name) + 1 : (size_t)len);

	if (error == NULL && req->resume.kind == RESUME_LAST && !request_is_of_user(req->kind) && wildcard_in(req->name, (size_t)len))
		error = LAST_OF_PATTERN;
	if (error == NULL)
		req->name_len = (uint8_t)len;
	return error;
}

static const char *read_array(const struct json_member *member, bool user, struct json_request *req)
{
	const char *error = NULL, *item;
	struct json_array array;
	unsigned count = 0;
	size_t len;

	json_array_begin(&array, member->value, member->value_len);
	while (error == NULL && json_array_next(&array, &item, &len)) {
		if (++count > NAMES_MAX)
			return NAMES_TOO_MANY;
		if (*item != '"')
			return user ? "one of the users is not a string" : "one of the topics is not a string";
		error = read_one(item, len, req);
	}
	if (count == 0)
		return user ? "no user" : "no topic";
	req->names = member->value;
	req->names_len = member->value_len;
	return error;
}

static const char *read_names(const struct json_member *member, bool many, struct json_request *req)
{
	bool user = request_is_of_user(req->kind);

	if (member == NULL)
		return user ? "no user" : "no topic";
	if (member->type == JSON_STRING)
		return read_one(member->value, member->value_len, req);
	if (many && member->type == JSON_ARRAY)
		return read_array(member, user, req);
	if (many)
		return user ? "the user is neither a string nor an array of strings" : "the topic is neither a string nor an array of strings";
	return user ? "the user is not a string" : "the topic is not a string";
}

/* What of the past is asked for. */
static const char *read_resume(const struct found *found, struct json_request *req)
{
	const struct json_member *since = found->by[MEMBER_SINCE], *last = found->by[MEMBER_LAST];
	char text[POSITION_MAX];
	const char *error = NULL;
	ssize_t len;

	if (since != NULL) {
		len = since->type == JSON_STRING ? json_read_string(since->value, since->value_len, text, sizeof(text)) : 0;
		error = resume_since(&req->resume, text, len > 0 ? (size_t)len : 0);
	}
	if (error == NULL && last != NULL)
		error = resume_last_text(&req->resume, last->value, last->value_len);
	return error;
}

static const char *read_attach(const struct found *found, struct json_request *req)
{
	const struct json_member *token = found->by[MEMBER_TOKEN];
	char text[TOKEN_TEXT];
	const char *error;
	ssize_t len;

	if (token == NULL || token->type != JSON_STRING)
		return token == NULL ? "no token" : "the token is not a string";
	len = json_read_string(token->value, token->value_len, text, sizeof(text));
	error = token_read(req->token, text, len < 0 ? 0 : (size_t)len);
	return error != NULL ? error : read_resume(found, req);
}

/* Those of the message stay in the array, in their order. */
static void select_members(struct json *json, const struct found *found, struct json_request *req)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < json->count; i++) {
		const struct json_member *member = &json->members[i];
		bool user = member == found->by[MEMBER_USER];

		if (member == found->by[MEMBER_ACTION] || member == found->by[MEMBER_REF] || member == found->by[MEMBER_NODES])
			continue;
		json->members[kept] = *member;
		if (user) {
			json->members[kept].name = "\"to\"";
			json->members[kept].name_len = sizeof("\"to\"") - 1;
		}
		kept++;
	}
	json_request_select(json, kept, req);
}

/* Whether all nodes are asked. NULL, or why not. */
static const char *read_nodes(const struct json_member *member, struct json_request *req)
{
	char text[sizeof(NODES_ALL)];
	ssize_t len;

	if (member == NULL)
		return NULL;
	len = member->type == JSON_STRING ? json_read_string(member->value, member->value_len, text, sizeof(text)) : -1;
	if (len != sizeof(NODES_ALL) - 1 || memcmp(text, NODES_ALL, sizeof(NODES_ALL) - 1) != 0)
		return NODES_WRONG;
	req->everywhere = true;
	return NULL;
}

static const char *read_message(struct json *json, const struct found *found, struct json_request *req)
{
	const char *error = read_names(found->by[member_of_name(req->kind)], false, req);

	if (error == NULL && found->by[MEMBER_DATA] == NULL)
		error = "no data";
	if (error == NULL)
		error = read_nodes(found->by[MEMBER_NODES], req);
	if (error == NULL && found->by[MEMBER_MESSAGE_ID] != NULL) {
		req->message_id = found->by[MEMBER_MESSAGE_ID]->value;
		req->message_id_len = found->by[MEMBER_MESSAGE_ID]->value_len;
	}
	if (error == NULL)
		select_members(json, found, req);
	return error;
}

/* What the action wants. NULL, or why it is refused. */
static const char *read_request(struct json *json, const struct found *found, struct error_text *why, struct json_request *req)
{
	const struct json_member *name = found->by[member_of_name(req->kind)];
	bool publishes = req->kind == REQUEST_PUBLISH || req->kind == REQUEST_SEND;
	unsigned taken = MEMBER_BIT(ACTION) | MEMBER_BIT(REF) | member_bits(req->kind) | (publishes ? MEMBER_BIT(NODES) : 0);
	const char *error;

	if (!publishes && req->kind != REQUEST_PING && req->kind != REQUEST_ATTACH && req->kind != REQUEST_AUTH && name == NULL) {
		name = found->by[MEMBER_DATA];
		taken |= MEMBER_BIT(DATA);
	}
	error = refuse_others(found, taken, why);
	if (error != NULL || req->kind == REQUEST_PING)
		return error;
	if (req->kind == REQUEST_ATTACH)
		return read_attach(found, req);
	if (req->kind == REQUEST_AUTH)
		return json_request_show(found->by[MEMBER_TOKEN], req);
	if (publishes)
		return read_message(json, found, req);
	error = read_resume(found, req);
	return error != NULL ? error : read_names(name, true, req);
}

/* What a person types who tries what a WebSocket does. */
#define NOT_AN_ACTION "a message is a JSON object with an action, like {\"action\":\"subscribe\",\"topic\":\"events\"}"

static bool is_meant_as_object(const char *text, size_t len)
{
	const char *end = text + len, *p = json_walk_space(text, end);

	return p < end && *p == '{';
}

int web_request_parse(struct json *json, const char *text, size_t len, struct error_text *why, struct json_request *req, const char **error)
{
	struct found found;

	json_request_clear(req);
	if (json_read_object(json, text, len, error) < 0) {
		if (!is_meant_as_object(text, len))
			*error = NOT_AN_ACTION;
		return -1;
	}
	look_up(json, &found);
	*error = read_ref(&found, why, req);
	if (*error == NULL)
		*error = read_action(&found, why, req);
	if (*error == NULL && req->kind != REQUEST_UNKNOWN)
		*error = read_request(json, &found, why, req);
	return *error == NULL ? 0 : -1;
}

int web_request_parse_publish(struct json *json, const char *text, size_t len, struct error_text *why, struct json_request *req,
			      const char **error)
{
	struct found found;

	json_request_clear(req);
	if (json_read_object(json, text, len, error) < 0)
		return -1;
	look_up(json, &found);
	req->kind = REQUEST_PUBLISH;
	*error = refuse_others(&found, member_bits(REQUEST_PUBLISH), why);
	if (*error == NULL)
		*error = read_message(json, &found, req);
	return *error == NULL ? 0 : -1;
}

bool web_request_next_name(struct json_request *req, struct web_names *names)
{
	const char *item, *error;
	size_t len;

	if (req->names == NULL) {
		names->begun = !names->begun;
		return names->begun;
	}
	if (!names->begun)
		json_array_begin(&names->left, req->names, req->names_len);
	names->begun = true;
	if (!json_array_next(&names->left, &item, &len))
		return false;
	error = read_one(item, len, req);
	assert(error == NULL);
	(void)error;
	return true;
}

/*
 * Topics and users in paths and queries, and the other parameters there.
 */
#include <string.h>

#include "proto/sink.h"
#include "worker/protocol/http_routes.h"

int names_next(struct names *n, struct topic_name *name, const char **error)
{
	char text[MESSAGE_TOPIC_MAX];
	struct http_text raw, key;
	bool plus = false;
	int len;

	if (!n->path.p || !http_list_next(&n->path, ',', &raw)) {
		do {
			if (!n->key || !n->query.p || !http_query_next(&n->query, &key, &raw))
				return 0;
		} while (key.len != strlen(n->key) || memcmp(key.p, n->key, key.len) != 0);
		plus = true;
	}
	len = http_decode(raw, plus, text, sizeof(text), error);
	if (len < 0)
		return -1;
	*error = web_name_error(n->inbox ? NAME_OF_USER : n->patterns ? NAME_OF_TOPICS : NAME_OF_TOPIC, text, (size_t)len);
	if (*error)
		return -1;
	*name = subscribe_topic_name(n->inbox, text, (size_t)len);
	return 1;
}

bool names_have_parameter(struct http_text query, const char *name)
{
	struct http_text key, value;

	while (query.p && http_query_next(&query, &key, &value))
		if (key.len == strlen(name) && memcmp(key.p, name, key.len) == 0)
			return true;
	return false;
}

/* (A proxy that lets requests pass by their path would not see what the query adds.) */
bool names_twice(const struct exchange *x, const struct names *n)
{
	if (!n->path.p || !n->key || !names_have_parameter(n->query, n->key))
		return false;
	exchange_error(x, 400, NULL, "path or query: what is named in one may not be in the other");
	return true;
}

bool names_one(const struct exchange *x, struct http_text path, bool patterns, const char *none, struct topic_name *topic)
{
	struct names names = { .path = path, .query = x->req->query, .key = "topic", .patterns = patterns };
	struct topic_name second;
	const char *error = NULL;
	int r;

	if (names_twice(x, &names))
		return false;
	r = names_next(&names, topic, &error);
	if (r > 0 && (r = names_next(&names, &second, &error)) > 0)
		error = "one topic: a comma in it is written %2C";
	else if (r == 0 && topic->len == 0)
		error = none;
	if (error)
		exchange_error(x, 400, NULL, error);
	return !error;
}

#define TOKEN_IN_QUERY "a token or key in the address is not read here, as addresses end up in logs (token_query): it is shown as Authorization: Bearer"

/* Says which one it is, and which there are. */
static void refuse_parameter(const struct exchange *x, struct http_text name, unsigned known)
{
	char text[sizeof(struct error_text) + 16 * MEMBERS];
	struct sink s = { .dst = text, .room = sizeof(text) };

	sink_text(&s, error_unknown(&x->protocols->why, "parameter", name.p, name.len));
	sink_text(&s, known ? "; known here: " : "; none is known here");
	for (unsigned m = 0; m < MEMBERS; m++) {
		if (!(known & 1u << m))
			continue;
		sink_text(&s, member_names[m]);
		known &= ~(1u << m);
		if (known)
			sink_literal(&s, ", ");
	}
	sink_byte(&s, '\0');
	exchange_error(x, 400, NULL, text);
}

/* `_` is what browsers' libraries add so that no cache has the address. (Other names for that, such as t and r, may be somebody's abbreviation.) */
static bool is_cache_buster(struct http_text name)
{
	return name.len == 1 && *name.p == '_';
}

bool parameters_known(const struct exchange *x, unsigned known)
{
	struct http_text query = x->req->query, key, value;

	while (query.p && http_query_next(&query, &key, &value)) {
		enum member m = member_find(key.p, key.len);

		if ((m < MEMBERS && known & 1u << m && !exchange_looks_like_bearer(key, value)) || is_cache_buster(key) || exchange_is_bearer(x, key, value))
			continue;
		if (exchange_looks_like_bearer(key, value))
			exchange_error(x, 400, NULL, TOKEN_IN_QUERY);
		else
			refuse_parameter(x, key, known);
		return false;
	}
	return true;
}

int parameter_read(const struct exchange *x, enum member name, char dst[PARAMETER_MAX])
{
	struct http_text query = x->req->query, key, value;
	const char *error;
	int len = -1;

	while (query.p && http_query_next(&query, &key, &value)) {
		if (member_find(key.p, key.len) != name || exchange_is_bearer(x, key, value))
			continue;
		if (len < 0)
			len = http_decode(value, true, dst, PARAMETER_MAX, &error);
		else
			len = -1, error = error_twice(&x->protocols->why, "parameter", member_names[name]);
		if (len < 0) {
			exchange_error(x, 400, NULL, error);
			return PARAMETER_BAD;
		}
	}
	return len < 0 ? PARAMETER_NONE : len;
}

bool parameter_number(const struct exchange *x, enum member name, unsigned least, unsigned most, const char *error, unsigned *number)
{
	char value[PARAMETER_MAX];
	int len = parameter_read(x, name, value);
	uint64_t n = 0;

	if (len == PARAMETER_BAD)
		return false;
	if (len == PARAMETER_NONE)
		return true;
	for (int i = 0; i < len; i++)
		n = value[i] >= '0' && value[i] <= '9' && n <= most ? 10 * n + (unsigned)(value[i] - '0') : (uint64_t)most + 1;
	if (len > 0 && n >= least && n <= most) {
		*number = (unsigned)n;
		return true;
	}
	exchange_error(x, 400, NULL, error);
	return false;
}

bool parameter_nodes(const struct exchange *x, bool *everywhere)
{
	char value[PARAMETER_MAX];
	int len = parameter_read(x, MEMBER_NODES, value);

	*everywhere = len == sizeof(NODES_ALL) - 1 && memcmp(value, NODES_ALL, sizeof(NODES_ALL) - 1) == 0;
	if (len != PARAMETER_NONE && len != PARAMETER_BAD && !*everywhere)
		exchange_error(x, 400, NULL, NODES_WRONG);
	return len == PARAMETER_NONE || *everywhere;
}

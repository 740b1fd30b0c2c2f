/*
 * Topics and ids in paths and queries.
 */
#include <string.h>

#include "proto/message.h"
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
	*error = n->inbox ? message_id_error(text, (size_t)len) : message_topic_error(text, (size_t)len);
	if (*error)
		return -1;
	*name = action_name(n->inbox, text, (size_t)len);
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
	if (!n->path.p || !names_have_parameter(n->query, n->key))
		return false;
	exchange_error(x, 400, NULL, "path or query: what is named in one may not be in the other");
	return true;
}

/*
 * The settings that are lists: which pages may use the server from a browser (RFC 6454), and which names are its own; files; and servers of NATS.
 */
#include "master/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/http_origin.h"

#define SHOWN 100	/* bytes of an item, at most */

bool config_has_rules(const struct setting *d)
{
	return d - settings_table == SETTING_PLACE_history || d - settings_table == SETTING_PLACE_slow;
}

int config_list_check(const char *list, const char *(*error_of)(const char *list, struct http_text *wrong), char why[CONFIG_ERROR_MAX])
{
	struct http_text wrong;
	const char *error = error_of(list, &wrong);

	if (!error)
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%.*s` %s", (int)(wrong.len < SHOWN ? wrong.len : SHOWN), wrong.p, error);
	return -1;
}

/* ---- files ---- */

#define DIVIDERS " \t,"
#define OPTIONAL " optional"

bool config_list_next(const char **list, char *item, size_t size)
{
	size_t len;

	*list += strspn(*list, DIVIDERS);
	len = strcspn(*list, DIVIDERS);
	if (len == 0 || len >= size)
		return false;
	memcpy(item, *list, len);
	item[len] = '\0';
	*list += len;
	return true;
}

int config_paths_check(const char *list, char why[CONFIG_ERROR_MAX])
{
	char path[SETTINGS_LIST_MAX];

	while (config_list_next(&list, path, sizeof(path))) {
		if (*path == '/' && strlen(path) < SETTINGS_TEXT_MAX)
			continue;
		snprintf(why, CONFIG_ERROR_MAX, "`%.*s` is %s", SHOWN, path, *path == '/' ? "too long a path" : "not an absolute path");
		return -1;
	}
	return 0;
}

int config_tls_pairs(const char *list)
{
	char path[SETTINGS_TEXT_MAX];
	int files = 0;

	while (config_list_next(&list, path, sizeof(path)))
		files++;
	return files % 2 ? -1 : files / 2;
}

void config_client_ca(const char *value, char path[SETTINGS_TEXT_MAX], bool *optional)
{
	size_t len = strlen(value), word = strlen(OPTIONAL);

	*optional = len > word && strcmp(value + len - word, OPTIONAL) == 0;
	snprintf(path, SETTINGS_TEXT_MAX, "%.*s", (int)(*optional ? len - word : len), value);
	for (len = strlen(path); len > 0 && path[len - 1] == ' '; len--)
		path[len - 1] = '\0';
}

int config_client_ca_check(const char *value, char why[CONFIG_ERROR_MAX])
{
	char path[SETTINGS_TEXT_MAX];
	bool optional;

	config_client_ca(value, path, &optional);
	if (!*value || (*path == '/' && !strchr(path, ' ')))
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%.*s` is not an absolute path, with nothing or `optional` behind it", SHOWN, value);
	return -1;
}

/* What stands between "http://" and the port or path. */
static bool is_loopback(const char *host)
{
	static const char *const names[] = { "127.0.0.1", "[::1]", "localhost" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i]);

		if (strncmp(host, names[i], len) == 0 && strchr(":/", host[len]))
			return true;
	}
	return false;
}

int config_jwks_url_check(const char *url, char why[CONFIG_ERROR_MAX])
{
	bool good = strncmp(url, "https://", 8) == 0 ? url[8] != '\0' && url[8] != '/' : strncmp(url, "http://", 7) == 0 && is_loopback(url + 7);

	/* (What is before an @ would be a name and a word that everybody can read in `janusctl config`; and a host that is none.) */
	if (!*url || (good && !strpbrk(url, " @\"<>\\^`{|}")))
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%.*s` is neither https://... nor http:// of this machine (127.0.0.1, [::1], localhost)", SHOWN, url);
	return -1;
}

/* ---- NATS ---- */

#define HOST_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

/* HOST:PORT or HOST, of a name, an IPv4 address or an IPv6 address in []. */
static bool is_server(const char *p)
{
	size_t host = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, ":");
	const char *port = p + host;

	if (*p == '[' ? strspn(p + 1, "0123456789abcdefABCDEF:.") + 2 != host : host == 0 || strspn(p, HOST_BYTES) != host)
		return false;
	return !*port || (*port == ':' && port[1] && strspn(port + 1, "0123456789") == strlen(port + 1) && strtol(port + 1, NULL, 10) <= 65535 && strlen(port) <= 6);
}

int config_nats_check(const char *list, char why[CONFIG_ERROR_MAX])
{
	char url[SETTINGS_LIST_MAX];

	while (config_list_next(&list, url, sizeof(url))) {
		const char *server = strncmp(url, "nats://", 7) == 0 || strncmp(url, "tls://", 6) == 0 ? strstr(url, "//") + 2 : "";

		if (is_server(server))
			continue;
		/* (A user's name and password, in front of an @, would be there for everybody who may read `janusctl config`.) */
		snprintf(why, CONFIG_ERROR_MAX, strchr(server, '@') ? "a URL with a user in it: say nats_user and nats_password_file, or nats_token_file"
								   : "`%.*s` is not nats://HOST:PORT or tls://HOST:PORT", SHOWN, url);
		return -1;
	}
	return 0;
}

int config_prefix_check(const char *prefix, char why[CONFIG_ERROR_MAX])
{
	size_t len = strlen(prefix);

	if (len > 0 && len <= 64 && strspn(prefix, HOST_BYTES) == len && prefix[0] != '.' && prefix[len - 1] != '.' && !strstr(prefix, ".."))
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%.*s` is not up to 64 letters, digits, - and _, and dots between them", SHOWN, prefix);
	return -1;
}

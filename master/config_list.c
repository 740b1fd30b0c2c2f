/*
 * The settings that are lists: which pages may use the server from a browser (RFC 6454), and which names are its own.
 */
#include "master/config.h"

#include <stdio.h>

#include "proto/http_origin.h"

#define SHOWN 100	/* bytes of an item, at most */

int config_list_check(const char *list, const char *(*error_of)(const char *list, struct http_text *wrong), char why[CONFIG_ERROR_MAX])
{
	struct http_text wrong;
	const char *error = error_of(list, &wrong);

	if (!error)
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%.*s` %s", (int)(wrong.len < SHOWN ? wrong.len : SHOWN), wrong.p, error);
	return -1;
}

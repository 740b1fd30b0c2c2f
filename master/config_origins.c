/*
 * The `origins` setting: which pages may use the server from a browser (RFC 6454).
 */
#include "master/config.h"

#include <stdio.h>

#include "proto/http_origin.h"

int config_origins_check(const char *list, char why[CONFIG_ERROR_MAX])
{
	struct http_text wrong;
	const char *error = http_origins_error(list, &wrong);

	if (!error)
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%.*s` %s", (int)wrong.len, wrong.p, error);
	return -1;
}

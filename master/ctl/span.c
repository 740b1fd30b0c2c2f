/*
 * Spans of time as janusctl is given them.
 */
#include <stdlib.h>

#include "master/ctl/ctl.h"

bool ctl_span(const char *text, uint64_t *seconds)
{
	static const struct { char unit; uint64_t seconds; } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || n > 1000000)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (end[0] == units[i].unit && !end[1]) {
			*seconds = n * units[i].seconds;
			return true;
		}
	return false;
}

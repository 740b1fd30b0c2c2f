/*
 * What is said of an error in the configuration. See config_reading.h.
 */
#include "master/config_reading.h"

#include <stdarg.h>
#include <stdio.h>

int config_tell(struct config_reading *r)
{
	for (char *p = r->error; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	r->failed = !r->said;
	r->errors++;
	if (r->said)
		r->said(r->arg, r->error);
	return -1;
}

int config_fail(struct config_reading *r, const char *format, ...)
{
	va_list args;
	int n;

	if (r->failed)
		return -1;
	if (r->line_number)
		n = snprintf(r->error, CONFIG_ERROR_MAX, "%.*s:%u: ", CONFIG_ERROR_MAX / 2, r->name, r->line_number);
	else
		n = snprintf(r->error, CONFIG_ERROR_MAX, "-o ");
	va_start(args, format);
	vsnprintf(r->error + n, CONFIG_ERROR_MAX - (size_t)n, format, args);
	va_end(args);
	return config_tell(r);
}

/*
 * A folder with a configuration file, which is written and read.
 */
#ifndef UNIT_CONFIG_FIXTURE_H
#define UNIT_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/config.h"

#define FILE_NAME "janus.ini"

static struct config config;
static char error[CONFIG_ERROR_MAX];
static char folder[] = "/tmp/janus-test-XXXXXX", top[4096];

/* The tests run in a folder of their own, so that the file's name in messages is short. */
static inline int setup(void **state)
{
	(void)state;
	if (!getcwd(top, sizeof(top)) || !mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	return unsetenv("XDG_RUNTIME_DIR");
}

static inline int teardown(void **state)
{
	(void)state;
	unlink(FILE_NAME);
	return chdir(top) < 0 ? -1 : rmdir(folder);
}

static inline void write_file(const char *text, size_t len)
{
	FILE *f = fopen(FILE_NAME, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static inline int read_text(const char *text)
{
	struct config_source source = {.file = FILE_NAME};

	write_file(text, strlen(text));
	error[0] = '\0';
	return config_read(&config, &source, error);
}

static inline int read_options(const char *text, const char **options)
{
	struct config_source source = {.file = text ? FILE_NAME : NULL, .options = options};

	while (options[source.count])
		source.count++;
	if (text)
		write_file(text, strlen(text));
	error[0] = '\0';
	return config_read(&config, &source, error);
}

#endif

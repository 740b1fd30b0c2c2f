/*
 * Lines of the configuration's file.
 *
 * inih splits lines into keys and values, but tells its handler no line numbers, cuts long lines in two, and takes an indented
 * line for a continuation of the one before. So it reads through next_line(), which counts lines, strips indentation
 * and refuses what inih would get wrong; the size of inih's buffer comes with each call, so however a distribution built
 * it, the limit is the right one.
 */
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/config_reading.h"

/* Whether inih will find a key and a value. It would say so itself, but only when it has gone through the rest of the file. */
static bool has_key(const char *text)
{
	for (const char *p = text; *p && !(*p == ';' && p > text && (p[-1] == ' ' || p[-1] == '\t')); p++)
		if (*p == '=' || *p == ':')
			return true;
	return false;
}

static bool is_of_list(const char *line)
{
	for (const struct setting *d = settings_table; d < settings_table + SETTINGS; d++)
		if (d->kind == SETTING_KIND_LIST && strncmp(line, d->name, strlen(d->name)) == 0)
			return true;
	return false;
}

/* The line as inih may have it, a bare line end if it is none of its business; or NULL: it can't be read, and that was said. */
static const char *fit_line(struct config_reading *r, const char *text, size_t whole, int size)
{
	if (strlen(r->line) != whole && !r->find) {
		config_fail(r, "a NUL byte");
		return NULL;
	}
	text += strspn(text, " \t\r\n\v\f");
	/* A long comment is nothing that inih has to see. */
	if (*text == '#' || *text == ';' || (r->find && strncmp(text, "runtime_dir", strlen("runtime_dir")) != 0))
		return "\n";
	if (*text == '[') {
		config_fail(r, "[sections] are not used here: write the key = value lines without");
		return NULL;
	}
	if (strcspn(text, "\r\n") && !has_key(text)) {
		config_fail(r, "not of the form key = value");
		return NULL;
	}
	if (strlen(text) >= (size_t)size) {
		config_fail(r, "the line is longer than %d bytes%s", size - 2, is_of_list(text) ? "; the list may go on in another line of the same key" : "");
		return NULL;
	}
	return text;
}

/* inih's reader: the next line without indentation, or NULL at the end, or once there has been an error that was to be the only one. */
static char *next_line(char *dst, int size, void *user)
{
	struct config_reading *r = user;
	const char *text;
	ssize_t len;

	if (r->failed)
		return NULL;
	len = getline(&r->line, &r->line_size, r->file);
	if (len < 0)
		return NULL;
	r->line_number++;
	text = r->line;
	if (r->line_number == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	text = fit_line(r, text, (size_t)len, size);
	if (!text && r->failed)
		return NULL;
	strcpy(dst, text ? text : "\n");
	return dst;
}

/* inih's handler: 0 is an error. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct config_reading *r = user;

	(void)section;
	if (r->failed)
		return 0;
	return config_key_set(r, name, value ? value : "") == 0;
}

int config_file_read(struct config_reading *r, const char *name, bool installed)
{
	unsigned before = r->errors;
	int bad;

	r->name = name;
	r->file = fopen(name, "re");
	if (!r->file && installed && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!r->file)
		goto err;
	if (!realpath(name, r->config->file))	/* a pipe, say */
		snprintf(r->config->file, sizeof(r->config->file), "%s", name);
	errno = 0;
	bad = ini_parse_stream(next_line, r, on_key, r);
	if (ferror(r->file))
		goto err;
	if (bad && r->errors == before) {
		r->line_number = (unsigned)bad;
		config_fail(r, "not of the form key = value");
	}
	fclose(r->file);
	free(r->line);
	r->line_number = 0;
	return r->failed ? -1 : 0;
err:
	snprintf(r->error, CONFIG_ERROR_MAX, "%.*s: %s", CONFIG_ERROR_MAX / 2, name, strerror(errno));
	if (r->file)
		fclose(r->file);
	free(r->line);
	r->line_number = 0;
	return config_tell(r);
}

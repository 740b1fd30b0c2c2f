/*
 * Reads the configuration: defaults, then the file, then the options, then what depends on the machine and on each other. The files that do it: config_reading.h.
 */
#include "master/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/config_reading.h"
#include "shm/nodes_shm.h"

static int read_option(struct config_reading *r, const char *option)
{
	const char *equals = strchr(option, '='), *value;
	char name[CONFIG_SHOWN_MAX + 1];
	size_t len;

	if (!equals || equals == option)
		return config_fail(r, "%.*s: not of the form key=value", CONFIG_SHOWN_MAX, option);
	for (len = (size_t)(equals - option); len && option[len - 1] == ' '; len--)
		;
	value = equals + 1 + strspn(equals + 1, " ");
	snprintf(name, sizeof(name), "%.*s", (int)(len < CONFIG_SHOWN_MAX ? len : CONFIG_SHOWN_MAX), option);
	return config_key_set(r, name, value);
}

static int64_t power_of_two(int64_t n)
{
	int64_t p = 1;

	while (p < n)
		p <<= 1;
	return p;
}

/* The host's name, as far as a node's may be that. */
static void name_node(char name[SETTINGS_TEXT_MAX])
{
	char host[NODE_NAME_MAX + 1] = "";

	(void)!gethostname(host, sizeof(host) - 1);
	for (char *p = host; *p; p++)
		if (!nodes_name_has(*p))
			*p = '-';
	snprintf(name, SETTINGS_TEXT_MAX, "%s", *host ? host : "janus");
}

/* What depends on the machine or on who runs it. */
static void resolve(struct settings *s, const char *runtime_dir)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	s->ring_bytes = power_of_two(s->ring_bytes);
	s->ring_messages = power_of_two(s->ring_messages);
	if (s->nats[0] && !s->node[0])
		name_node(s->node);
	if (s->runtime_dir[0])
		return;
	if (runtime_dir)
		snprintf(s->runtime_dir, sizeof(s->runtime_dir), "%s", runtime_dir);
	else if (geteuid() == 0)
		snprintf(s->runtime_dir, sizeof(s->runtime_dir), "/run/janus");
	else if (xdg && *xdg == '/' && strlen(xdg) + sizeof("/janus") <= sizeof(s->runtime_dir))
		snprintf(s->runtime_dir, sizeof(s->runtime_dir), "%s/janus", xdg);
	else
		snprintf(s->runtime_dir, sizeof(s->runtime_dir), "/tmp/janus-%u", (unsigned)geteuid());
}

/* All of it, into *r->config; as far as the first error, if there is nobody to be told of more. */
static void read_all(struct config_reading *r, const struct config_source *source)
{
	struct config *c = r->config;

	config_key_defaults(r);
	if (source->file)
		config_file_read(r, source->file, false);
	else if (source->installed)
		config_file_read(r, source->installed, true);
	for (unsigned i = 0; i < source->count && !r->failed; i++)
		read_option(r, source->options[i]);
	if (c->listeners == 0 && !r->failed)
		config_key_listen_by_default(r);
	resolve(&c->settings, source->runtime_dir);
	if (!source->find)
		config_together_check(r);
}

int config_read(struct config *config, const struct config_source *source, char error[CONFIG_ERROR_MAX])
{
	struct config c;
	struct config_reading r = {.config = &c, .find = source->find, .error = error};

	read_all(&r, source);
	if (r.failed)
		return -1;
	*config = c;
	return 0;
}

unsigned config_check(struct config *config, const struct config_source *source, void (*said)(void *arg, const char *error), void *arg)
{
	char error[CONFIG_ERROR_MAX];
	struct config_reading r = {.config = config, .find = source->find, .error = error, .said = said, .arg = arg};

	read_all(&r, source);
	return r.errors;
}

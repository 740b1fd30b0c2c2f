/*
 * Keys of the configuration: which setting a line of the file, or an option, is about; whether it may be there; and the two that are in no table, `workers` and `listen`.
 */
#include <sched.h>
#include <string.h>

#include "master/config_reading.h"

/* ---- workers ---- */

/* How many processors this process may run on; the mask has room for more than any machine has. */
static int64_t processors(void)
{
	cpu_set_t set[16];
	int n = 0;

	if (sched_getaffinity(0, sizeof(set), set) == 0)
		n = CPU_COUNT_S(sizeof(set), set);
	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : n;
}

static int read_workers(struct config_reading *r, const char *value)
{
	struct setting d = {.name = "workers", .kind = SETTING_KIND_NUMBER, .offset = offsetof(struct settings, workers),
			    .least = 1, .most = WORKERS_MAX};

	if (strcmp(value, "auto") == 0) {
		r->config->settings.workers = processors();
		return 0;
	}
	if (!*value || strspn(value, "0123456789") != strlen(value))
		return config_fail(r, "workers: `%s` is not `auto` or a number from 1 to %d", value, WORKERS_MAX);
	return config_value_read(r, &d, value, false);
}

void config_key_defaults(struct config_reading *r)
{
	memset(r->config, 0, sizeof(*r->config));
	settings_defaults(&r->config->settings);
	r->config->settings.workers = processors();
}

/* ---- listen ---- */

static int read_listen(struct config_reading *r, const char *value)
{
	struct config *c = r->config;
	struct listen_address a;
	char why[CONFIG_ERROR_MAX];

	if (r->line_number == 0 && !r->listen_option) {
		r->listen_option = true;
		c->listeners = 0;
		memset(c->listen, 0, sizeof(c->listen));
	}
	if (c->listeners == LISTENERS_MAX)
		return config_fail(r, "listen: more than %d addresses", LISTENERS_MAX);
	if (config_address_read(&a, value, why) < 0)
		return config_fail(r, "listen: %s", why);
	for (unsigned i = 0; i < c->listeners; i++) {
		if (strcmp(c->listen[i].url, a.url) == 0)
			return config_fail(r, "listen: %s is there twice", a.url);
		if (config_address_same(&c->listen[i], &a))
			return config_fail(r, "listen: %s has the same address as %s", a.url, c->listen[i].url);
	}
	a.line = r->line_number ? (int)r->line_number : CONFIG_OPTION;
	c->listen[c->listeners++] = a;
	return 0;
}

int config_key_listen_by_default(struct config_reading *r)
{
	static const char *const urls[] = {DEFAULT_LISTEN};

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		if (read_listen(r, urls[i]) < 0)
			return -1;
	for (unsigned i = 0; i < r->config->listeners; i++)
		r->config->listen[i].line = CONFIG_DEFAULT;
	return 0;
}

/* ---- all ---- */

/* Insertions, deletions and replacements that turn one word into the other (Levenshtein), for words of up to CONFIG_SHOWN_MAX bytes. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[CONFIG_SHOWN_MAX + 1], lb = (unsigned)strlen(b);

	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned corner = row[0];	/* of the row above, one to the left */

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned above = row[j], best = corner + (a[i - 1] != b[j - 1]);

			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			corner = above;
			row[j] = best;
		}
	}
	return row[lb];
}

static int fail_unknown(struct config_reading *r, const char *name)
{
	const char *nearest = NULL, *candidate;
	unsigned least = 1 + (unsigned)strlen(name) / 3, d;

	if (least > 4)
		least = 4;
	for (unsigned i = 0; strlen(name) <= CONFIG_SHOWN_MAX && i < SETTINGS + 2; i++) {
		candidate = i < SETTINGS ? settings_table[i].name : i == SETTINGS ? "listen" : "workers";
		d = distance(name, candidate);
		if (d < least) {
			least = d;
			nearest = candidate;
		}
	}
	if (nearest)
		return config_fail(r, "%s: unknown key; did you mean %s?", name, nearest);
	return config_fail(r, "%.*s: unknown key", CONFIG_SHOWN_MAX, name);
}

/* Of inih's two kinds only " ;" ends a value. A topic may begin with #, so rules are read as they are. */
static int check_comment(struct config_reading *r, const struct setting *d, const char *name, const char *value)
{
	const char *hash = r->line_number == 0 || (d && config_has_rules(d)) ? NULL : strchr(value, '#');

	while (hash && hash > value && hash[-1] != ' ' && hash[-1] != '\t')
		hash = strchr(hash + 1, '#');
	if (!hash)
		return 0;
	return config_fail(r, "%s: a comment can't follow a value: give `%s` a line of its own, or begin it with ;", name, hash);
}

int config_key_set(struct config_reading *r, const char *name, const char *value)
{
	const struct setting *d = settings_table, *end = settings_table + SETTINGS;
	unsigned *seen;
	bool again;

	if (!*name)
		return config_fail(r, "no key before the =");
	if (strcmp(name, "listen") == 0)
		return check_comment(r, NULL, name, value) < 0 ? -1 : read_listen(r, value);
	while (d < end && strcmp(name, d->name) != 0)
		d++;
	if (d == end && strcmp(name, "workers") != 0)
		return fail_unknown(r, name);
	seen = d == end ? &r->seen_workers : &r->seen[d - settings_table];
	again = r->line_number && *seen;
	if (again && (d == end || d->kind != SETTING_KIND_LIST))
		return config_fail(r, "%s: line %u has it already", name, *seen);
	*seen = r->line_number;
	if (!again)
		r->config->lines.of[d - settings_table] = r->line_number ? (int)r->line_number : CONFIG_OPTION;
	if (check_comment(r, d == end ? NULL : d, name, value) < 0)
		return -1;
	if (d == end)
		return read_workers(r, value);
	return config_value_read(r, d, value, again);
}

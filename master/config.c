/*
 * Reads the configuration.
 *
 * inih splits lines into keys and values, but tells its handler no line numbers, cuts long lines in two, and takes an indented
 * line for a continuation of the one before. So it reads through next_line(), which counts lines, strips indentation
 * and refuses what inih would get wrong; the size of inih's buffer comes with each call, so however a distribution built
 * it, the limit is the right one.
 */
#include "master/config.h"

#include <errno.h>
#include <grp.h>
#include <ini.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/address_list.h"
#include "proto/http_origin.h"
#include "proto/rights_text.h"
#include "shm/history_rules.h"
#include "shm/nodes_shm.h"
#include "shm/slow_rules.h"

#define NAME_MAX_SHOWN 100

struct reading {
	struct config *config;
	FILE *file;
	const char *name;		/* of the file */
	char *line;			/* getline()'s */
	size_t line_size;
	unsigned line_number;		/* 0 while options are read */
	unsigned seen[SETTINGS];	/* line that set it in the file; by place in settings_table */
	unsigned seen_workers;
	bool listen_option;		/* the file's addresses have been replaced */
	bool find;			/* as in struct config_source */
	bool failed;
	char *error;			/* CONFIG_ERROR_MAX */
	void (*said)(void *arg, const char *error);	/* NULL: the first error is the last */
	void *arg;
	unsigned errors;		/* said */
};

/* Control characters in r->error are made visible. It is said at once, or kept: the first one is the one to put right first. Returns -1. */
static int tell(struct reading *r)
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

/* With the line, or the option, that it is about. */
__attribute__((format(printf, 2, 3))) static int fail(struct reading *r, const char *format, ...)
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
	return tell(r);
}

/* ---- values ---- */

/* What the text behind the digits multiplies by, or 0. */
static int64_t multiplier(enum setting_kind kind, const char *suffix)
{
	static const struct {
		const char *suffix;
		int64_t by;
	} of_number[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"k", 1000}, {"m", 1000000},
			 {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
			 {"kB", 1000}, {"KB", 1000}, {"MB", 1000000}, {"GB", 1000000000}, {"B", 1}},
	  of_seconds[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};

	if (kind == SETTING_KIND_NUMBER) {
		for (size_t i = 0; i < sizeof(of_number) / sizeof(of_number[0]); i++)
			if (strcmp(suffix, of_number[i].suffix) == 0)
				return of_number[i].by;
	} else {
		for (size_t i = 0; i < sizeof(of_seconds) / sizeof(of_seconds[0]); i++)
			if (strcmp(suffix, of_seconds[i].suffix) == 0)
				return of_seconds[i].by;
	}
	return 0;
}

/* A number too large for 64 bits becomes INT64_MAX, and so is above any limit. */
static int read_number(struct reading *r, const struct setting *d, const char *value)
{
	size_t digits = strspn(value, "0123456789");
	int64_t by = multiplier(d->kind, value + digits), n = 0;
	char limit[32];

	if (!digits || !by)
		return fail(r, "%s: `%s` is not %s", d->name, value,
			    d->kind == SETTING_KIND_NUMBER ? "a whole number, with K, M, G (or KiB, MiB, GiB), kB, MB, GB, k or m behind it or nothing"
							   : "a whole number, with ms, s, m or h behind it or nothing");
	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, value[i] - '0', &n))
			n = INT64_MAX;
	if (__builtin_mul_overflow(n, by, &n))
		n = INT64_MAX;
	if (n < d->least)
		return fail(r, "%s: %s is less than %s", d->name, value, config_number_text(limit, sizeof(limit), d, d->least));
	if (n > d->most)
		return fail(r, "%s: %s is more than %s", d->name, value, config_number_text(limit, sizeof(limit), d, d->most));
	*settings_number(&r->config->settings, d) = n;
	return 0;
}

static int read_choice(struct reading *r, const struct setting *d, const char *value)
{
	int place = settings_place(d, value, strlen(value));
	char words[128];

	if (place < 0) {
		snprintf(words, sizeof(words), "%s", d->words);
		for (char *p = words; *p; p++)
			if (*p == '|')
				*p = ' ';
		return fail(r, "%s: `%s` is not one of: %s", d->name, value, words);
	}
	*settings_number(&r->config->settings, d) = place;
	return 0;
}

/* All of the rules so far: those of lines before are in order. */
static int check_history(struct reading *r, const struct setting *d, const char *value)
{
	static struct history_rules rules;
	char why[CONFIG_ERROR_MAX];

	return history_rules_parse(&rules, value, why, sizeof(why)) < 0 ? fail(r, "%s: %s", d->name, why) : 0;
}

static int check_slow(struct reading *r, const struct setting *d, const char *value)
{
	static struct slow_rules rules;
	char why[CONFIG_ERROR_MAX];

	return slow_rules_parse(&rules, value, why, sizeof(why)) < 0 ? fail(r, "%s: %s", d->name, why) : 0;
}

/* 0, or -1 and in why[] which item is wrong. */
static int check_proxies(const char *value, char why[CONFIG_ERROR_MAX])
{
	static struct address_list list;
	const char *wrong, *error;
	size_t len;

	error = address_list_read(&list, value, &wrong, &len);
	if (error)
		snprintf(why, CONFIG_ERROR_MAX, "`%.*s` %s", len < 100 ? (int)len : 100, wrong, error);
	return error ? -1 : 0;
}

bool config_has_rules(const struct setting *d)
{
	return d - settings_table == SETTING_PLACE_history || d - settings_table == SETTING_PLACE_slow;
}

static bool is_nats_file(const struct setting *d)
{
	switch (d - settings_table) {
	case SETTING_PLACE_nats_password_file:
	case SETTING_PLACE_nats_token_file:
	case SETTING_PLACE_nats_credentials:
	case SETTING_PLACE_nats_nkey_file:
	case SETTING_PLACE_nats_tls_ca:
	case SETTING_PLACE_nats_tls_certificate:
		return true;
	default:
		return false;
	}
}

/* A text; or a list, or with `goes_on` another line of it. */
static int read_text(struct reading *r, const struct setting *d, const char *value, bool goes_on)
{
	char *dst = settings_text(&r->config->settings, d), why[CONFIG_ERROR_MAX];
	size_t used = goes_on ? strlen(dst) + 1 : 0;

	if (used + strlen(value) >= settings_room(d))
		return fail(r, "%s: is longer than %zu bytes", d->name, settings_room(d) - 1);
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return fail(r, "%s: `%s` has a control character in it", d->name, value);
	if (d - settings_table == SETTING_PLACE_runtime_dir && *value && *value != '/')
		return fail(r, "%s: `%s` is not an absolute path", d->name, value);
	if (d - settings_table == SETTING_PLACE_api_key && *value && *value != '/')
		return fail(r, "%s: `%s` is not an absolute path", d->name, value);
	if ((d - settings_table == SETTING_PLACE_anonymous || d - settings_table == SETTING_PLACE_tls_client_rights) && config_list_check(value, rights_text_error, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (d - settings_table == SETTING_PLACE_token_cookie && value[strcspn(value, " \t\"(),/:;<=>?@[\\]{}")])
		return fail(r, "%s: `%s` is no name of a cookie", d->name, value);
	if (d - settings_table == SETTING_PLACE_data && *value && *value != '/')
		return fail(r, "%s: `%s` is not an absolute path", d->name, value);
	if (d - settings_table == SETTING_PLACE_tls_certificate && config_paths_check(value, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (d - settings_table == SETTING_PLACE_tls_client_ca && config_client_ca_check(value, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (d - settings_table == SETTING_PLACE_token_keys && config_paths_check(value, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (d - settings_table == SETTING_PLACE_token_jwks_url && config_jwks_url_check(value, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (is_nats_file(d) && config_paths_check(value, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (d - settings_table == SETTING_PLACE_nats && config_nats_check(value, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (d - settings_table == SETTING_PLACE_nats_stream && *value && (!nodes_name_is_good(value) || strchr(value, '.')))
		return fail(r, "%s: `%.*s` is not up to %d letters, digits, - and _", d->name, NAME_MAX_SHOWN, value, NODE_NAME_MAX);
	if (d - settings_table == SETTING_PLACE_nats_prefix && config_prefix_check(value, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (d - settings_table == SETTING_PLACE_node && !nodes_name_is_good(value) && *value)
		return fail(r, "%s: `%.*s` is not up to %d letters, digits, - _ and dots", d->name, NAME_MAX_SHOWN, value, NODE_NAME_MAX);
	if (d - settings_table == SETTING_PLACE_user && *value && !getpwnam(value))
		return fail(r, "%s: there is no user `%s`", d->name, value);
	if (d - settings_table == SETTING_PLACE_control_group && *value && !getgrnam(value))
		return fail(r, "%s: there is no group `%s`", d->name, value);
	if (d - settings_table == SETTING_PLACE_trusted_proxies && check_proxies(value, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (d - settings_table == SETTING_PLACE_origins && config_list_check(value, http_origins_error, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (d - settings_table == SETTING_PLACE_hosts && config_list_check(value, http_hosts_error, why) < 0)
		return fail(r, "%s: %s", d->name, why);
	if (goes_on)
		dst[used - 1] = config_has_rules(d) ? ';' : ' ';
	memset(dst + used, 0, settings_room(d) - used);
	memcpy(dst + used, value, strlen(value));
	if (d - settings_table == SETTING_PLACE_slow)
		return check_slow(r, d, dst);
	return d - settings_table == SETTING_PLACE_history ? check_history(r, d, dst) : 0;
}

/* How many processors this process may run on; the mask has room for more than any machine has. */
static int64_t processors(void)
{
	cpu_set_t set[16];
	int n = 0;

	if (sched_getaffinity(0, sizeof(set), set) == 0)
		n = CPU_COUNT_S(sizeof(set), set);
	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : n;
}

static int read_workers(struct reading *r, const char *value)
{
	struct setting d = {.name = "workers", .kind = SETTING_KIND_NUMBER, .offset = offsetof(struct settings, workers),
			    .least = 1, .most = WORKERS_MAX};

	if (strcmp(value, "auto") == 0) {
		r->config->settings.workers = processors();
		return 0;
	}
	if (!*value || strspn(value, "0123456789") != strlen(value))
		return fail(r, "workers: `%s` is not `auto` or a number from 1 to %d", value, WORKERS_MAX);
	return read_number(r, &d, value);
}

static int read_listen(struct reading *r, const char *value)
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
		return fail(r, "listen: more than %d addresses", LISTENERS_MAX);
	if (config_address_read(&a, value, why) < 0)
		return fail(r, "listen: %s", why);
	for (unsigned i = 0; i < c->listeners; i++) {
		if (strcmp(c->listen[i].url, a.url) == 0)
			return fail(r, "listen: %s is there twice", a.url);
		if (config_address_same(&c->listen[i], &a))
			return fail(r, "listen: %s has the same address as %s", a.url, c->listen[i].url);
	}
	a.line = r->line_number ? (int)r->line_number : CONFIG_OPTION;
	c->listen[c->listeners++] = a;
	return 0;
}

static int listen_by_default(struct reading *r)
{
	static const char *const urls[] = {DEFAULT_LISTEN};

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		if (read_listen(r, urls[i]) < 0)
			return -1;
	for (unsigned i = 0; i < r->config->listeners; i++)
		r->config->listen[i].line = CONFIG_DEFAULT;
	return 0;
}

/* ---- keys ---- */

/* Insertions, deletions and replacements that turn one word into the other (Levenshtein), for words of up to NAME_MAX_SHOWN bytes. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_SHOWN + 1], lb = (unsigned)strlen(b);

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

static int fail_unknown(struct reading *r, const char *name)
{
	const char *nearest = NULL, *candidate;
	unsigned least = 1 + (unsigned)strlen(name) / 3, d;

	if (least > 4)
		least = 4;
	for (unsigned i = 0; strlen(name) <= NAME_MAX_SHOWN && i < SETTINGS + 2; i++) {
		candidate = i < SETTINGS ? settings_table[i].name : i == SETTINGS ? "listen" : "workers";
		d = distance(name, candidate);
		if (d < least) {
			least = d;
			nearest = candidate;
		}
	}
	if (nearest)
		return fail(r, "%s: unknown key; did you mean %s?", name, nearest);
	return fail(r, "%.*s: unknown key", NAME_MAX_SHOWN, name);
}

/* Of inih's two kinds only " ;" ends a value. A topic may begin with #, so rules are read as they are. */
static int check_comment(struct reading *r, const struct setting *d, const char *name, const char *value)
{
	const char *hash = r->line_number == 0 || (d && config_has_rules(d)) ? NULL : strchr(value, '#');

	while (hash && hash > value && hash[-1] != ' ' && hash[-1] != '\t')
		hash = strchr(hash + 1, '#');
	if (!hash)
		return 0;
	return fail(r, "%s: a comment can't follow a value: give `%s` a line of its own, or begin it with ;", name, hash);
}

static int set_key(struct reading *r, const char *name, const char *value)
{
	const struct setting *d = settings_table, *end = settings_table + SETTINGS;
	unsigned *seen;
	bool again;

	if (!*name)
		return fail(r, "no key before the =");
	if (strcmp(name, "listen") == 0)
		return check_comment(r, NULL, name, value) < 0 ? -1 : read_listen(r, value);
	while (d < end && strcmp(name, d->name) != 0)
		d++;
	if (d == end && strcmp(name, "workers") != 0)
		return fail_unknown(r, name);
	seen = d == end ? &r->seen_workers : &r->seen[d - settings_table];
	again = r->line_number && *seen;
	if (again && (d == end || d->kind != SETTING_KIND_LIST))
		return fail(r, "%s: line %u has it already", name, *seen);
	*seen = r->line_number;
	if (!again)
		r->config->lines.of[d - settings_table] = r->line_number ? (int)r->line_number : CONFIG_OPTION;
	if (check_comment(r, d == end ? NULL : d, name, value) < 0)
		return -1;
	if (d == end)
		return read_workers(r, value);
	if (settings_room(d) > 0)
		return read_text(r, d, value, again);
	return d->kind == SETTING_KIND_CHOICE ? read_choice(r, d, value) : read_number(r, d, value);
}

/* ---- the file ---- */

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
static const char *fit_line(struct reading *r, const char *text, size_t whole, int size)
{
	if (strlen(r->line) != whole && !r->find) {
		fail(r, "a NUL byte");
		return NULL;
	}
	text += strspn(text, " \t\r\n\v\f");
	/* A long comment is nothing that inih has to see. */
	if (*text == '#' || *text == ';' || (r->find && strncmp(text, "runtime_dir", strlen("runtime_dir")) != 0))
		return "\n";
	if (*text == '[') {
		fail(r, "[sections] are not used here: write the key = value lines without");
		return NULL;
	}
	if (strcspn(text, "\r\n") && !has_key(text)) {
		fail(r, "not of the form key = value");
		return NULL;
	}
	if (strlen(text) >= (size_t)size) {
		fail(r, "the line is longer than %d bytes%s", size - 2, is_of_list(text) ? "; the list may go on in another line of the same key" : "");
		return NULL;
	}
	return text;
}

/* inih's reader: the next line without indentation, or NULL at the end, or once there has been an error that was to be the only one. */
static char *next_line(char *dst, int size, void *user)
{
	struct reading *r = user;
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
	struct reading *r = user;

	(void)section;
	if (r->failed)
		return 0;
	return set_key(r, name, value ? value : "") == 0;
}

/* An installed file need not be there. */
static int read_file(struct reading *r, const char *name, bool installed)
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
		fail(r, "not of the form key = value");
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
	return tell(r);
}

/* ---- the whole ---- */

static int read_option(struct reading *r, const char *option)
{
	const char *equals = strchr(option, '='), *value;
	char name[NAME_MAX_SHOWN + 1];
	size_t len;

	if (!equals || equals == option)
		return fail(r, "%.*s: not of the form key=value", NAME_MAX_SHOWN, option);
	for (len = (size_t)(equals - option); len && option[len - 1] == ' '; len--)
		;
	value = equals + 1 + strspn(equals + 1, " ");
	snprintf(name, sizeof(name), "%.*s", (int)(len < NAME_MAX_SHOWN ? len : NAME_MAX_SHOWN), option);
	return set_key(r, name, value);
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
static void resolve(struct settings *s)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	s->ring_bytes = power_of_two(s->ring_bytes);
	s->ring_messages = power_of_two(s->ring_messages);
	if (s->nats[0] && !s->node[0])
		name_node(s->node);
	if (s->runtime_dir[0])
		return;
	if (geteuid() == 0)
		snprintf(s->runtime_dir, sizeof(s->runtime_dir), "/run/janus");
	else if (xdg && *xdg == '/' && strlen(xdg) + sizeof("/janus") <= sizeof(s->runtime_dir))
		snprintf(s->runtime_dir, sizeof(s->runtime_dir), "%s/janus", xdg);
	else
		snprintf(s->runtime_dir, sizeof(s->runtime_dir), "/tmp/janus-%u", (unsigned)geteuid());
}

/* (Its address does not fit if the control socket's doesn't: whoever opens them says so.) */
static bool listens_on_own(const struct config *c)
{
	struct listen_address own;

	if (config_address_own(&own, c->settings.runtime_dir) < 0)
		return false;
	for (unsigned i = 0; i < c->listeners; i++)
		if (config_address_same(&c->listen[i], &own))
			return true;
	return false;
}

uint64_t config_buffered_least(const struct settings *settings)
{
	return 4ull * (uint64_t)settings->workers * (3ull * (uint64_t)settings->max_frame + 65536);
}

/* With the line that the address is in. */
static void fail_listen(struct reading *r, const struct listen_address *address, const char *why)
{
	r->line_number = address->line > 0 ? (unsigned)address->line : 0;
	fail(r, "listen: %s %s", address->url, why);
	r->line_number = 0;
}

/* Limits that depend on each other. */
static void check_together(struct reading *r)
{
	const struct settings *s = &r->config->settings;
	const struct listen_address *reached;
	char limit[32], beat[32];

	if (!r->failed && listens_on_own(r->config)) {
		snprintf(r->error, CONFIG_ERROR_MAX, "listen: the socket `admin` in %.256s is the server's own: take another path", s->runtime_dir);
		tell(r);
	}
	for (unsigned i = 0; i < r->config->listeners && !r->failed; i++)
		if (r->config->listen[i].tls && !s->tls_certificate[0]) {
			fail_listen(r, &r->config->listen[i], "takes a certificate: tls_certificate = /PATH/CERT.pem /PATH/KEY.pem");
			break;
		}
	for (unsigned i = 0; i < r->config->listeners && !r->failed; i++)
		if (r->config->listen[i].proxy && !s->trusted_proxies[0]) {
			fail_listen(r, &r->config->listen[i], "is for proxies: say which in trusted_proxies");
			break;
		}
	if (!r->failed && (reached = config_reached_by_all(r->config)) != NULL)
		fail_listen(r, reached, "can be reached by others, and everybody may do everything: say who may do what (api_key, token_keys or anonymous), "
			    "or anonymous = all if that is meant, or listen on 127.0.0.1");
	if (!r->failed && s->trusted_proxies[0] && !settings_say_who(s)) {
		snprintf(r->error, CONFIG_ERROR_MAX, "trusted_proxies: who comes by a proxy comes from elsewhere, and everybody may do everything: say who may do what (api_key, token_keys or anonymous), "
			 "or anonymous = all if that is meant, as the proxy has its own say");
		tell(r);
	}
	if (!r->failed && config_tls_pairs(s->tls_certificate) < 0) {
		snprintf(r->error, CONFIG_ERROR_MAX, "tls_certificate: a certificate lacks its key: they are pairs, CERT.pem KEY.pem");
		tell(r);
	}
	if (!r->failed && s->tls_client_rights[0] && !s->tls_client_ca[0]) {
		snprintf(r->error, CONFIG_ERROR_MAX, "tls_client_rights: nobody has a certificate without tls_client_ca, the authorities that sign them");
		tell(r);
	}
	if (!r->failed && (s->nats_user[0] != '\0') != (s->nats_password_file[0] != '\0')) {
		snprintf(r->error, CONFIG_ERROR_MAX, "nats_user and nats_password_file: one takes the other");
		tell(r);
	}
	if (!r->failed && s->nats_stream[0] && (!s->nats[0] || !s->history[0] || s->data[0])) {
		snprintf(r->error, CONFIG_ERROR_MAX, s->data[0] ? "nats_stream: history comes of the stream: it goes without `data`" : "nats_stream: it takes `nats`, and rules of `history`");
		tell(r);
	}
	if (!r->failed && s->nats_tls_certificate[0] && config_tls_pairs(s->nats_tls_certificate) != 1) {
		snprintf(r->error, CONFIG_ERROR_MAX, "nats_tls_certificate: it is one certificate and its key, CERT.pem KEY.pem");
		tell(r);
	}
	/* A batch of messages is up to an eighth of the ring, and a message must fit into a batch. */
	if (!r->failed && s->ring_bytes < 16 * s->max_frame) {
		snprintf(r->error, CONFIG_ERROR_MAX, "ring_bytes (%lld) must be at least 16 times max_frame (%lld)", (long long)s->ring_bytes,
			 (long long)s->max_frame);
		tell(r);
	}
	if (!r->failed && s->max_buffered && (uint64_t)s->max_buffered < config_buffered_least(s)) {
		snprintf(r->error, CONFIG_ERROR_MAX, "max_buffered (%lld) must be at least 12 times max_frame, and 256 KiB, for each worker (%llu)",
			 (long long)s->max_buffered, (unsigned long long)config_buffered_least(s));
		tell(r);
	}
	if (!r->failed && s->idle_limit && s->idle_limit <= s->heartbeat) {
		snprintf(r->error, CONFIG_ERROR_MAX, "idle_limit (%s) must be more than heartbeat (%s): who is to answer must have been asked",
			 config_number_text(limit, sizeof(limit), &settings_table[SETTING_PLACE_idle_limit], s->idle_limit),
			 config_number_text(beat, sizeof(beat), &settings_table[SETTING_PLACE_heartbeat], s->heartbeat));
		tell(r);
	}
}

/* All of it, into *r->config; as far as the first error, if there is nobody to be told of more. */
static void read_all(struct reading *r, const struct config_source *source)
{
	struct config *c = r->config;

	memset(c, 0, sizeof(*c));
	settings_defaults(&c->settings);
	c->settings.workers = processors();
	if (source->file)
		read_file(r, source->file, false);
	else if (source->installed)
		read_file(r, source->installed, true);
	for (unsigned i = 0; i < source->count && !r->failed; i++)
		read_option(r, source->options[i]);
	if (c->listeners == 0 && !r->failed)
		listen_by_default(r);
	resolve(&c->settings);
	if (!source->find)
		check_together(r);
}

int config_read(struct config *config, const struct config_source *source, char error[CONFIG_ERROR_MAX])
{
	struct config c;
	struct reading r = {.config = &c, .find = source->find, .error = error};

	read_all(&r, source);
	if (r.failed)
		return -1;
	*config = c;
	return 0;
}

unsigned config_check(struct config *config, const struct config_source *source, void (*said)(void *arg, const char *error), void *arg)
{
	char error[CONFIG_ERROR_MAX];
	struct reading r = {.config = config, .find = source->find, .error = error, .said = said, .arg = arg};

	read_all(&r, source);
	return r.errors;
}

/*
 * The value of a setting. What it may be follows from its line in settings.def; what it must be beside that, from checks[].
 */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "master/config_reading.h"
#include "proto/address_list.h"
#include "proto/http_origin.h"
#include "proto/rights_text.h"
#include "shm/history_rules.h"
#include "shm/nodes_shm.h"
#include "shm/slow_rules.h"

/* ---- numbers and words ---- */

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
static int read_number(struct config_reading *r, const struct setting *d, const char *value)
{
	size_t digits = strspn(value, "0123456789");
	int64_t by = multiplier(d->kind, value + digits), n = 0;
	char limit[32];

	if (!digits || !by)
		return config_fail(r, "%s: `%s` is not %s", d->name, value,
			    d->kind == SETTING_KIND_NUMBER ? "a whole number, with K, M, G (or KiB, MiB, GiB), kB, MB, GB, k or m behind it or nothing"
							   : "a whole number, with ms, s, m or h behind it or nothing");
	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, value[i] - '0', &n))
			n = INT64_MAX;
	if (__builtin_mul_overflow(n, by, &n))
		n = INT64_MAX;
	if (n < d->least)
		return config_fail(r, "%s: %s is less than %s", d->name, value, config_number_text(limit, sizeof(limit), d, d->least));
	if (n > d->most)
		return config_fail(r, "%s: %s is more than %s", d->name, value, config_number_text(limit, sizeof(limit), d, d->most));
	*settings_number(&r->config->settings, d) = n;
	return 0;
}

static int read_choice(struct config_reading *r, const struct setting *d, const char *value)
{
	int place = settings_place(d, value, strlen(value));
	char words[128];

	if (place < 0) {
		snprintf(words, sizeof(words), "%s", d->words);
		for (char *p = words; *p; p++)
			if (*p == '|')
				*p = ' ';
		return config_fail(r, "%s: `%s` is not one of: %s", d->name, value, words);
	}
	*settings_number(&r->config->settings, d) = place;
	return 0;
}

/* ---- texts and lists ---- */

static int check_absolute(const char *value, char why[CONFIG_ERROR_MAX])
{
	if (!*value || *value == '/')
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%s` is not an absolute path", value);
	return -1;
}

static int check_cookie(const char *value, char why[CONFIG_ERROR_MAX])
{
	if (!value[strcspn(value, " \t\"(),/:;<=>?@[\\]{}")])
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%s` is no name of a cookie", value);
	return -1;
}

static int check_node(const char *value, char why[CONFIG_ERROR_MAX])
{
	if (!*value || nodes_name_is_good(value))
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%.*s` is not up to %d letters, digits, - _ and dots", CONFIG_SHOWN_MAX, value, NODE_NAME_MAX);
	return -1;
}

static int check_stream(const char *value, char why[CONFIG_ERROR_MAX])
{
	if (!*value || (nodes_name_is_good(value) && !strchr(value, '.')))
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "`%.*s` is not up to %d letters, digits, - and _", CONFIG_SHOWN_MAX, value, NODE_NAME_MAX);
	return -1;
}

static int check_user(const char *value, char why[CONFIG_ERROR_MAX])
{
	if (!*value || getpwnam(value))
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "there is no user `%s`", value);
	return -1;
}

static int check_group(const char *value, char why[CONFIG_ERROR_MAX])
{
	if (!*value || getgrnam(value))
		return 0;
	snprintf(why, CONFIG_ERROR_MAX, "there is no group `%s`", value);
	return -1;
}

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

static int check_rights(const char *value, char why[CONFIG_ERROR_MAX])
{
	return config_list_check(value, rights_text_error, why);
}

static int check_origins(const char *value, char why[CONFIG_ERROR_MAX])
{
	return config_list_check(value, http_origins_error, why);
}

static int check_hosts(const char *value, char why[CONFIG_ERROR_MAX])
{
	return config_list_check(value, http_hosts_error, why);
}

static int check_history(const char *value, char why[CONFIG_ERROR_MAX])
{
	static struct history_rules rules;

	return history_rules_parse(&rules, value, why, CONFIG_ERROR_MAX);
}

static int check_slow(const char *value, char why[CONFIG_ERROR_MAX])
{
	static struct slow_rules rules;

	return slow_rules_parse(&rules, value, why, CONFIG_ERROR_MAX);
}

/* 0, or -1 and in why[] what is wrong with the value. */
static int (*const checks[SETTINGS])(const char *value, char why[CONFIG_ERROR_MAX]) = {
	[SETTING_PLACE_anonymous] = check_rights,
	[SETTING_PLACE_api_key] = check_absolute,
	[SETTING_PLACE_control_group] = check_group,
	[SETTING_PLACE_data] = check_absolute,
	[SETTING_PLACE_history] = check_history,
	[SETTING_PLACE_hosts] = check_hosts,
	[SETTING_PLACE_nats] = config_nats_check,
	[SETTING_PLACE_nats_credentials] = config_paths_check,
	[SETTING_PLACE_nats_nkey_file] = config_paths_check,
	[SETTING_PLACE_nats_password_file] = config_paths_check,
	[SETTING_PLACE_nats_prefix] = config_prefix_check,
	[SETTING_PLACE_nats_stream] = check_stream,
	[SETTING_PLACE_nats_tls_ca] = config_paths_check,
	[SETTING_PLACE_nats_tls_certificate] = config_paths_check,
	[SETTING_PLACE_nats_token_file] = config_paths_check,
	[SETTING_PLACE_node] = check_node,
	[SETTING_PLACE_origins] = check_origins,
	[SETTING_PLACE_runtime_dir] = check_absolute,
	[SETTING_PLACE_slow] = check_slow,
	[SETTING_PLACE_tls_certificate] = config_paths_check,
	[SETTING_PLACE_tls_client_ca] = config_client_ca_check,
	[SETTING_PLACE_tls_client_rights] = check_rights,
	[SETTING_PLACE_token_cookie] = check_cookie,
	[SETTING_PLACE_token_jwks_url] = config_jwks_url_check,
	[SETTING_PLACE_token_keys] = config_paths_check,
	[SETTING_PLACE_trusted_proxies] = check_proxies,
	[SETTING_PLACE_user] = check_user,
};

static int check_text(struct config_reading *r, const struct setting *d, const char *value)
{
	char why[CONFIG_ERROR_MAX];
	int (*check)(const char *, char[CONFIG_ERROR_MAX]) = checks[d - settings_table];

	return check && check(value, why) < 0 ? config_fail(r, "%s: %s", d->name, why) : 0;
}

/* A text; or a list, or with `goes_on` another line of it. Each line is checked for itself, but rules are with those of lines before. */
static int read_text(struct config_reading *r, const struct setting *d, const char *value, bool goes_on)
{
	char *dst = settings_text(&r->config->settings, d);
	size_t used = goes_on ? strlen(dst) + 1 : 0;

	if (used + strlen(value) >= settings_room(d))
		return config_fail(r, "%s: is longer than %zu bytes", d->name, settings_room(d) - 1);
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return config_fail(r, "%s: `%s` has a control character in it", d->name, value);
	if (!config_has_rules(d) && check_text(r, d, value) < 0)
		return -1;
	if (goes_on)
		dst[used - 1] = config_has_rules(d) ? ';' : ' ';
	memset(dst + used, 0, settings_room(d) - used);
	memcpy(dst + used, value, strlen(value));
	return config_has_rules(d) ? check_text(r, d, dst) : 0;
}

int config_value_read(struct config_reading *r, const struct setting *d, const char *value, bool goes_on)
{
	if (settings_room(d) > 0)
		return read_text(r, d, value, goes_on);
	return d->kind == SETTING_KIND_CHOICE ? read_choice(r, d, value) : read_number(r, d, value);
}

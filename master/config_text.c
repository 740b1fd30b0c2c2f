/*
 * The configuration as text, from the table of settings.
 */
#include "master/config.h"

#include <string.h>

#define LINE_MAX_BYTES 198	/* inih cuts longer ones, the way distributions build it */

const char *config_number_text(char *dst, size_t size, const struct setting *setting, int64_t n)
{
	static const struct unit {
		const char *suffix;
		int64_t by;
	} numbers[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}}, seconds[] = {{"h", 3600000}, {"s", 1000}, {"ms", 1}};
	const struct unit *unit = setting->kind == SETTING_KIND_SECONDS ? seconds : numbers;

	while (n % unit->by != 0 || (n == 0 && unit->by > 1000))
		unit++;
	snprintf(dst, size, "%lld%s", (long long)(n / unit->by), n || setting->kind == SETTING_KIND_SECONDS ? unit->suffix : "");
	return dst;
}

/* A list, in as many lines of the key as it takes. */
static void print_list(FILE *to, const char *name, const char *list, const char *dividers)
{
	do {
		size_t room = LINE_MAX_BYTES - strlen(name) - strlen(" = "), len = strlen(list);

		if (len > room) {
			len = room;
			while (len > 0 && !strchr(dividers, list[len]))
				len--;
			if (len == 0)
				len = strcspn(list, dividers);	/* one that no line has room for: of an option */
		}
		fprintf(to, "%s = %.*s\n", name, (int)len, list);
		list += len;
		list += strspn(list, dividers);
	} while (*list);
}

const char *config_value_text(char *dst, size_t size, const struct setting *d, const struct settings *settings)
{
	const char *at = (const char *)settings + d->offset, *word;
	int64_t n = 0;
	size_t len;

	if (settings_room(d) == 0)
		memcpy(&n, at, sizeof(n));
	switch (d->kind) {
	case SETTING_KIND_TEXT:
	case SETTING_KIND_LIST:
		snprintf(dst, size, "%s", at);
		break;
	case SETTING_KIND_CHOICE:
		word = settings_word(d, n, &len);
		snprintf(dst, size, "%.*s", (int)len, word);
		break;
	case SETTING_KIND_NUMBER:
	case SETTING_KIND_SECONDS:
		config_number_text(dst, size, d, n);
		break;
	}
	return dst;
}

void config_print(FILE *to, const struct config *config)
{
	char value[SETTINGS_LIST_MAX], options[CONFIG_OPTIONS_MAX];

	for (unsigned i = 0; i < config->listeners; i++) {
		config_address_options(&config->listen[i], options);
		fprintf(to, "listen = %s%s\n", config->listen[i].url, options);
	}
	fprintf(to, "workers = %d\n", (int)config->settings.workers);
	for (const struct setting *d = settings_table; d < settings_table + SETTINGS; d++) {
		config_value_text(value, sizeof(value), d, &config->settings);
		if (settings_room(d) > 0)
			print_list(to, d->name, value, config_has_rules(d) ? ";" : " ,");
		else
			fprintf(to, "%s = %s\n", d->name, value);
	}
}

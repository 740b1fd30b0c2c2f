/*
 * The table of settings, and settings as a msgpack map.
 */
#include "shm/settings.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <msgpack.h>

#include "proto/msgpack_walk.h"

#define NUMBER_OF_NUMBER(def) (def)
#define NUMBER_OF_SECONDS(def) (def)
#define NUMBER_OF_TEXT(def) 0
#define NUMBER_OF_LIST(def) 0
#define NUMBER_OF_CHOICE(def) 0
#define WORDS_OF_NUMBER(def) ""
#define WORDS_OF_SECONDS(def) ""
#define WORDS_OF_TEXT(def) (def)
#define WORDS_OF_LIST(def) (def)
#define WORDS_OF_CHOICE(def) (def)

const struct setting settings_table[SETTINGS] = {
#define CHANGE_RELOAD false
#define CHANGE_RESTART true
#define SETTING(type, name, def, least, most, change, text) \
	{#name, SETTING_KIND_##type, offsetof(struct settings, name), NUMBER_OF_##type(def), WORDS_OF_##type(def), least, most, CHANGE_##change},
#include "shm/settings.def"
};

size_t settings_room(const struct setting *setting)
{
	return setting->kind == SETTING_KIND_TEXT ? SETTINGS_TEXT_MAX : setting->kind == SETTING_KIND_LIST ? SETTINGS_LIST_MAX : 0;
}

char *settings_text(struct settings *s, const struct setting *setting)
{
	assert(settings_room(setting) > 0);
	return (char *)s + setting->offset;
}

int64_t *settings_number(struct settings *s, const struct setting *setting)
{
	assert(settings_room(setting) == 0);
	return (int64_t *)(void *)((char *)s + setting->offset);
}

const char *settings_word(const struct setting *setting, int64_t place, size_t *len)
{
	const char *word = setting->words;

	for (; place > 0; place--) {
		word = strchr(word, '|');
		if (!word)
			return NULL;
		word++;
	}
	*len = strcspn(word, "|");
	return word;
}

int settings_place(const struct setting *setting, const char *word, size_t len)
{
	const char *at;
	size_t at_len;

	for (int place = 0; (at = settings_word(setting, place, &at_len)); place++)
		if (at_len == len && memcmp(at, word, len) == 0)
			return place;
	return -1;
}

void settings_defaults(struct settings *s)
{
	memset(s, 0, sizeof(*s));
	for (const struct setting *d = settings_table; d < settings_table + SETTINGS; d++) {
		if (settings_room(d) > 0)
			memcpy(settings_text(s, d), d->words, strlen(d->words));
		else
			*settings_number(s, d) = d->number;
	}
	s->workers = 1;
}

static size_t size_of(const struct setting *d)
{
	size_t room = settings_room(d);

	return room > 0 ? room : sizeof(int64_t);
}

const struct setting *settings_restart(const struct settings *a, const struct settings *b, const struct setting *after)
{
	for (const struct setting *d = after ? after + 1 : settings_table; d < settings_table + SETTINGS; d++)
		if (d->restart && memcmp((const char *)a + d->offset, (const char *)b + d->offset, size_of(d)) != 0)
			return d;
	return NULL;
}

bool settings_equal(const struct settings *a, const struct settings *b)
{
	for (const struct setting *d = settings_table; d < settings_table + SETTINGS; d++)
		if (memcmp((const char *)a + d->offset, (const char *)b + d->offset, size_of(d)) != 0)
			return false;
	return a->workers == b->workers;
}

void settings_keep(struct settings *s, const struct settings *running)
{
	for (const struct setting *d = settings_table; d < settings_table + SETTINGS; d++)
		if (d->restart)
			memcpy((char *)s + d->offset, (const char *)running + d->offset, size_of(d));
}

bool settings_say_who(const struct settings *s)
{
	return s->anonymous[0] || s->api_key[0] || s->token_keys[0] || s->token_jwks_url[0] || s->tls_client_rights[0];
}

enum log_level settings_log_level(const struct settings *s)
{
	/* in the order of the words in settings.def, whose first is the default */
	static const enum log_level levels[] = {LOG_LEVEL_INFO, LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_DEBUG};

	assert(s->log_level >= 0 && s->log_level < (int64_t)(sizeof(levels) / sizeof(levels[0])));
	return levels[s->log_level];
}

void settings_log_init(const char *who, const struct settings *s)
{
	/* in the order of the words in settings.def */
	static const enum log_format formats[] = { LOG_TEXT, LOG_LOGFMT, LOG_JSON };
	static const enum log_to places[] = { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_JOURNAL };

	log_output(formats[s->log_format], places[s->log_to]);
	log_init(who, settings_log_level(s));
}

/* ---- msgpack ---- */

static void pack_text(msgpack_packer *to, const char *text, size_t len)
{
	msgpack_pack_str(to, len);
	msgpack_pack_str_body(to, text, len);
}

void settings_pack(const struct settings *s, struct msgpack_packer *to)
{
	struct settings copy = *s;	/* settings_text() and settings_number() want one that may be written */

	msgpack_pack_map(to, SETTINGS + 1);
	for (const struct setting *d = settings_table; d < settings_table + SETTINGS; d++) {
		size_t len = 0;
		const char *word;

		pack_text(to, d->name, strlen(d->name));
		switch (d->kind) {
		case SETTING_KIND_TEXT:
		case SETTING_KIND_LIST:
			pack_text(to, settings_text(&copy, d), strlen(settings_text(&copy, d)));
			break;
		case SETTING_KIND_CHOICE:
			word = settings_word(d, *settings_number(&copy, d), &len);
			assert(word);
			pack_text(to, word, len);
			break;
		case SETTING_KIND_NUMBER:
		case SETTING_KIND_SECONDS:
			msgpack_pack_int64(to, *settings_number(&copy, d));
			break;
		}
	}
	pack_text(to, "workers", strlen("workers"));
	msgpack_pack_int64(to, s->workers);
}

static bool unpack_number(int64_t *number, const struct msgpack_value *value, int64_t least, int64_t most)
{
	return msgpack_walk_int(value, number) && *number >= least && *number <= most;
}

static bool unpack_value(struct settings *s, const struct setting *d, const struct msgpack_value *value)
{
	int place;

	if (d->kind == SETTING_KIND_NUMBER || d->kind == SETTING_KIND_SECONDS)
		return unpack_number(settings_number(s, d), value, d->least, d->most);
	if (value->kind != WALK_STR)
		return false;
	if (d->kind == SETTING_KIND_CHOICE) {
		place = settings_place(d, (const char *)value->p, value->len);
		*settings_number(s, d) = place;
		return place >= 0;
	}
	if (value->len >= settings_room(d) || memchr(value->p, 0, value->len))
		return false;
	memset(settings_text(s, d), 0, settings_room(d));
	memcpy(settings_text(s, d), value->p, value->len);
	return true;
}

int settings_unpack(struct settings *s, const struct msgpack_value *map)
{
	struct msgpack_value value;
	struct settings got;

	if (map->kind != WALK_MAP)
		goto bad;
	settings_defaults(&got);
	for (const struct setting *d = settings_table; d < settings_table + SETTINGS; d++)
		if (msgpack_walk_find(map, d->name, &value) && !unpack_value(&got, d, &value))
			goto bad;
	if (msgpack_walk_find(map, "workers", &value) && !unpack_number(&got.workers, &value, 1, WORKERS_MAX))
		goto bad;
	*s = got;
	return 0;
bad:
	errno = EINVAL;
	return -1;
}

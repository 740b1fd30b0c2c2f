/*
 * The settings, as every process has them after the configuration was read.
 */
#ifndef SHM_SETTINGS_H
#define SHM_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/log.h"

#define SETTINGS_TEXT_MAX 256
#define SETTINGS_LIST_MAX 4096
#define WORKERS_MAX 63		/* one slot less: the last one is the bridge's (nodes.h) */

enum { IO_AUTO, IO_URING, IO_SEND };
enum { PAGE_ON, PAGE_OFF };
enum { BROADCAST_OFF, BROADCAST_ON };
enum { TOPICS_OFF, TOPICS_ON };
enum { TOKEN_QUERY_OFF, TOKEN_QUERY_ON };
enum { PUBLISH_FROM_OFF, PUBLISH_FROM_ON };
enum { TLS_LEAST_1_2, TLS_LEAST_1_3 };
enum { KERNEL_TLS_OFF, KERNEL_TLS_AUTO };

struct settings {
#define SETTING_NUMBER(name) int64_t name;
#define SETTING_SECONDS(name) int64_t name;	/* milliseconds */
#define SETTING_CHOICE(name) int64_t name;	/* place in the list of words */
#define SETTING_TEXT(name) char name[SETTINGS_TEXT_MAX];
#define SETTING_LIST(name) char name[SETTINGS_LIST_MAX];
#define SETTING(type, name, ...) SETTING_##type(name)
#include "shm/settings.def"
	int64_t workers;			/* 1 to WORKERS_MAX, `auto` resolved */
};

/* The lines of settings.def as a table, in its order. `listen` and `workers` are not in it. */
enum setting_kind { SETTING_KIND_NUMBER, SETTING_KIND_SECONDS, SETTING_KIND_TEXT, SETTING_KIND_LIST, SETTING_KIND_CHOICE };

enum setting_place {
#define SETTING(type, name, ...) SETTING_PLACE_##name,
#include "shm/settings.def"
	SETTINGS
};

struct setting {
	const char *name;
	enum setting_kind kind;
	size_t offset;		/* in struct settings: a char[] for TEXT and LIST, else an int64_t */
	int64_t number;		/* default; 0 for TEXT, LIST and CHOICE */
	const char *words;	/* default of a TEXT or LIST; a CHOICE's words, divided by |; else "" */
	int64_t least, most;	/* of NUMBER and SECONDS */
	bool restart;		/* a change takes one */
};

extern const struct setting settings_table[SETTINGS];

/* Where the setting's value is in *s. For TEXT and LIST, and for the others. */
char *settings_text(struct settings *s, const struct setting *setting);
int64_t *settings_number(struct settings *s, const struct setting *setting);

/* The bytes that a TEXT or LIST has room for, with the NUL; 0 for the others. */
size_t settings_room(const struct setting *setting);

/* The place of a word (not terminated) in a CHOICE's list, or -1. */
int settings_place(const struct setting *setting, const char *word, size_t len);

/* The word at a place of a CHOICE's list (not terminated); its length goes to *len. NULL when there are not so many. */
const char *settings_word(const struct setting *setting, int64_t place, size_t *len);

/* Sets everything to its default, and `workers` to 1. All bytes of the struct are set, so that two can be compared with memcmp(). */
void settings_defaults(struct settings *s);

/* What a reload can't change: the next setting behind `after` (NULL: the first) of those that takes a restart and differs; NULL: none. */
const struct setting *settings_restart(const struct settings *a, const struct settings *b, const struct setting *after);

/* Whether they say the same. */
bool settings_equal(const struct settings *a, const struct settings *b);

/* Gives *s those settings of the running server that a reload can't change. */
void settings_keep(struct settings *s, const struct settings *running);

/* log_init() with what the settings say of the log; log_output() with them. */
void settings_log_init(const char *who, const struct settings *s);

/* Whether some setting says who may do what. If none does, everybody may do everything. */
bool settings_say_who(const struct settings *s);

/* What log_level stands for. */
enum log_level settings_log_level(const struct settings *s);

/* Writes all settings as one msgpack map, keyed by name, as they are in the handover state. CHOICEs are written as their words, so that
 * another version may list them differently. */
struct msgpack_packer;
void settings_pack(const struct settings *s, struct msgpack_packer *to);

/* The way back: keys that this version does not know are ignored, those that are absent get their default. 0, or -1 with EINVAL when
 * `map` is no map or a value is not what the table allows; *s is then left as it was. */
struct msgpack_value;
int settings_unpack(struct settings *s, const struct msgpack_value *map);

#endif

/*
 * The settings, as every process has them after the configuration was read.
 */
#ifndef SHM_SETTINGS_H
#define SHM_SETTINGS_H

#include <stdint.h>

#define SETTINGS_TEXT_MAX 256
#define WORKERS_MAX 64

enum { SLOW_SKIP, SLOW_DISCONNECT };
enum { IO_AUTO, IO_URING, IO_SEND };

struct settings {
#define SETTING_NUMBER(name) int64_t name;
#define SETTING_SECONDS(name) int64_t name;	/* milliseconds */
#define SETTING_CHOICE(name) int64_t name;	/* place in the list of words */
#define SETTING_TEXT(name) char name[SETTINGS_TEXT_MAX];
#define SETTING(type, name, def, least, most, text) SETTING_##type(name)
#include "shm/settings.def"
#undef SETTING
	int64_t workers;			/* 1 to WORKERS_MAX, `auto` resolved */
};

#endif

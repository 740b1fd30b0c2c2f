/*
 * The configuration while it is read: what the files that read it have in common. Everybody else sees config.h.
 *
 *   config.c           the whole: defaults, the file, options, what depends on the machine
 *   config_together.c  settings that depend on each other
 *   config_file.c      lines of the file, for inih
 *   config_key.c       the key of a line or an option; `listen` and `workers`, which are in no table
 *   config_value.c     the value of a setting
 *   config_reading.c   what is said of an error
 *
 * Each of them calls only files of later lines (and config_address.c, config_reach.c, config_list.c, config_text.c). Functions that return an int: 0, or -1 and the error was told.
 */
#ifndef MASTER_CONFIG_READING_H
#define MASTER_CONFIG_READING_H

#include "master/config.h"

#define CONFIG_SHOWN_MAX 100	/* bytes of a name, in an error */

/* config_read()'s, or config_check()'s; what it points to is its caller's. */
struct config_reading {
	struct config *config;
	FILE *file;
	const char *name;		/* of the file */
	char *line;			/* getline()'s, as long as the file is read */
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

/* ---- config_reading.c ---- */

/* r->error is told: at once (r->said), or it is kept, as the first one is the one to put right first. Control characters in it are made visible. Returns -1. */
int config_tell(struct config_reading *r);

/* The same, with the line, or the option, that it is about; nothing, if an error was kept already. */
__attribute__((format(printf, 2, 3))) int config_fail(struct config_reading *r, const char *format, ...);

/* ---- config_value.c ---- */

/* A setting's value; or with `goes_on`, another line of a list. */
int config_value_read(struct config_reading *r, const struct setting *setting, const char *value, bool goes_on);

/* ---- config_key.c ---- */

/* What holds where nothing is set. (But for addresses: those are known to be needed when all is read.) */
void config_key_defaults(struct config_reading *r);

/* A line of the file (r->line_number), or an option (0). */
int config_key_set(struct config_reading *r, const char *name, const char *value);

/* The addresses, if none is set. */
int config_key_listen_by_default(struct config_reading *r);

/* ---- config_file.c ---- */

/* All lines of the file. An installed one need not be there. */
int config_file_read(struct config_reading *r, const char *name, bool installed);

/* ---- config_together.c ---- */

/* Limits that depend on each other, when all is read. */
void config_together_check(struct config_reading *r);

#endif

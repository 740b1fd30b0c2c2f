/*
 * Two answers of the control protocol (control.h) that say what is in force: what a reload has done, and the configuration.
 *
 *   reload    ... "file", "since", "changed": [{"name", "old", "now"}...], "waiting": [{"name", "old", "now"}...], "opened": [url...], "closed": [url...],
 *             "renewed", "added", "draining", "kept", "moved", "lost", "slots": [{"slot", "connections", "paused"}...]; also when it is not ok: then what is
 *             said is of the configuration that is in force still
 *   config    ... "file", "since", "settings": [{"name", "value", "line", "restart", "wanted", "wanted_line"}...]
 *
 * A line is one of the file, or CONTROL_LINE_. What waits for a restart has `wanted`, others have not. As in control.h, keys that are not known are
 * ignored, absent ones are 0 or "".
 */
#ifndef PROTO_CONTROL_REPORT_H
#define PROTO_CONTROL_REPORT_H

#include "proto/control.h"

#define CONTROL_CHANGES_MAX 160		/* settings and addresses */
#define CONTROL_VALUE_MAX 160		/* of a report's values, which are cut to that */
#define CONTROL_SETTING_MAX 4096	/* of the configuration's, which are not */

enum { CONTROL_LINE_DEFAULT = 0, CONTROL_LINE_OPTION = -1, CONTROL_LINE_LOG = -2 };	/* nowhere; -o; `janusctl log` */

struct control_change {
	char name[32];
	char old[CONTROL_VALUE_MAX], now[CONTROL_VALUE_MAX];	/* waiting for a restart: what is in force, what is wanted */
};

struct control_pause {
	uint32_t slot;
	uint64_t connections;		/* that the new worker took over */
	uint64_t paused;		/* microseconds in which they had no worker */
};

struct control_report {
	char file[4096];		/* the configuration, "" none */
	uint64_t since;			/* when what is in force was taken up, seconds since 1970 */
	struct control_change changed[CONTROL_CHANGES_MAX], waiting[CONTROL_CHANGES_MAX];
	unsigned changes, waits;
	char opened[CONTROL_LISTEN_MAX][128], closed[CONTROL_LISTEN_MAX][128];
	unsigned opens, closes;
	uint64_t renewed, added, draining;	/* workers: replaced; of new slots; that take no new connections any more */
	uint64_t kept, moved, lost;		/* connections; those that went from one worker to another */
	struct control_pause slot[CONTROL_WORKERS_MAX];	/* of the workers that were replaced */
	unsigned slots;
};

/* The answer to a reload; `error` NULL: all went well. Returns its length. */
size_t control_report_pack(void *dst, const struct control_report *report, const char *error);

/* 0, or -1 with EBADMSG: what is there is no such report; or EPROTONOSUPPORT. */
int control_report_unpack(const void *src, size_t len, struct control_report *report);

struct control_setting {
	const char *name, *value;
	const char *wanted;		/* "": it does not wait */
	bool waits, restart;
	int64_t line, wanted_line;
};

/* The answer to CONTROL_CONFIG: get() fills in one setting after the other, whose texts are there until it is called again. */
size_t control_config_pack(void *dst, const char *file, uint64_t since, unsigned count, void (*get)(void *arg, unsigned i, struct control_setting *setting),
			   void *arg);

/* Calls take() with each of them. 0, or -1 with EBADMSG or EPROTONOSUPPORT; `file` has room for 4096. */
int control_config_unpack(const void *src, size_t len, char *file, uint64_t *since, void (*take)(void *arg, const struct control_setting *setting), void *arg);

#endif

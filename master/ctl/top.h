/*
 * The parts of `janusctl top`: top_sample.c reads the hub and compares two samples of it, top_text.c makes the lines of a screen of it, top.c shows them: in a
 * terminal, by ncurses, or once.
 *
 * All of it is read from shared memory and /proc; nobody is asked. A sample costs the same however many topics and connections there are: topics are those that
 * a thousand of the ring's newest records name, and those that were shown before.
 */
#ifndef MASTER_CTL_TOP_H
#define MASTER_CTL_TOP_H

#include <sys/types.h>

#include "master/ctl/ctl.h"
#include "shm/topics.h"

/* What is counted a second, of a worker and of all. */
enum top_rate { RATE_ACCEPTED, RATE_CLOSED, RATE_PUBLISHED, RATE_DELIVERED, RATE_DROPPED, RATE_REFUSED, RATE_IN, RATE_OUT, TOP_RATES };

struct top_worker {
	unsigned slot;
	const char *state;
	pid_t pid;
	uint32_t connections, behind, restarts;
	unsigned lag;			/* behind the ring's tail, in parts of 1024 of the ring */
	uint64_t cpu;			/* clock ticks since the process began */
	uint64_t total[TOP_RATES];
	double rate[TOP_RATES];		/* a second, since the sample before */
	double load;			/* of a CPU, in percent */
};

struct top_topic {
	uint32_t number, generation;
	uint64_t published, subscribers;
	double rate;
	char name[6 * TOPIC_NAME_MAX + 1];	/* as in JSON: no byte in it that a terminal would act on */
	size_t name_len;
};

#define TOP_TOPICS 64

struct top_sample {
	uint64_t time;			/* microseconds since 1970 */
	uint64_t started;		/* of the server */
	uint64_t connections, parked, behind, subscriptions, topics, buffered, buffered_max, restarts;
	uint64_t by_transport[TRANSPORT_GROUPS];
	unsigned ring_used;		/* percent of its places that hold messages */
	unsigned lag;			/* the slowest worker's */
	uint64_t total[TOP_RATES];
	double rate[TOP_RATES];
	unsigned workers, live;
	struct top_worker worker[INDEX_SLOTS_MAX];
	unsigned topic_count;
	struct top_topic topic[TOP_TOPICS];	/* those with the most messages a second first */
};

/* How it is sorted: by a key of the keyboard. */
enum top_sort { TOP_BY_SLOT, TOP_BY_CONNECTIONS, TOP_BY_CPU, TOP_BY_LAG, TOP_BY_DELIVERED, TOP_SORTS };

/* Takes a sample. `before`: the last one, of the same hub; NULL: there is none, and all rates are 0. */
void top_sample(const struct hub *hub, const struct top_sample *before, struct top_sample *now);
void top_sort_workers(struct top_sample *s, enum top_sort by);

/* ---- top_text.c ---- */

/* What a line is, for who can show it. */
enum top_style { TOP_PLAIN, TOP_HEAD, TOP_ALARM };

struct top_line {
	enum top_style style;
	char text[512];			/* terminated; of at most as many characters as were asked for */
};

#define TOP_LINES_MAX 256
struct top_screen {
	unsigned columns, rows;		/* rows 0: as many as there are lines */
	unsigned count;
	struct top_line line[TOP_LINES_MAX];
};

/* Makes the lines of a screen of that size. `note`: what the first line ends with. */
void top_text(struct top_screen *screen, const struct top_sample *s, const char *note);
void top_json(const struct top_sample *s);		/* to stdout */

#endif

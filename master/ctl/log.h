/*
 * The parts of `janusctl log`: log.c follows, log_source.c finds the server's memory and finds it again, log_clients.c remembers who is who, log_filter.c
 * says what is wanted, log_line.c writes it, log_publish.c reads the publish ring.
 */
#ifndef MASTER_CTL_LOG_H
#define MASTER_CTL_LOG_H

#include "master/ctl/ctl.h"
#include "proto/sink.h"
#include "shm/client_id.h"
#include "shm/events.h"

#define LOG_PUBLISH 255			/* a kind of this program alone: a message of the publish ring */
#define LOG_KINDS 256

/* The word of a kind, NULL: this program does not know it. */
const char *log_kind_word(unsigned kind);

/* ---- log_clients.c: what earlier events said of a client, for later ones that don't ---- */

struct log_client {
	struct client_id id;
	struct event_peer peer;
	uint8_t user_len;		/* 0: none, that this program has seen */
	char user[EVENT_TEXT];		/* cut as events are */
	uint8_t sub_len;		/* of whom it is by what was shown; 0: nobody that this program has seen */
	char sub[EVENT_TEXT];
};

struct log_clients;
struct log_clients *log_clients_create(void);		/* NULL: no memory */
void log_clients_destroy(struct log_clients *clients);
/* Learns from the event. The client that it is about, as of this event: valid until the next call. NULL: it is about none. */
const struct log_client *log_clients_learn(struct log_clients *clients, const struct event_shm *event);

/* ---- log_filter.c ---- */

struct log_filter {
	bool all_kinds;
	bool kind[LOG_KINDS];
	bool publishes;			/* the publish ring is wanted */
	bool has_client;
	struct client_id client;
	char client_text[CLIENT_ID_TEXT];
	const char *user, *topic, *sub;	/* NULL: all */
	struct event_peer address;	/* EVENT_NOWHERE: all; port 0: all ports */
	unsigned bits;			/* of the address that count */
	uint64_t since;			/* microseconds since 1970 */
	bool has_since;
	unsigned long count;		/* lines, after which it ends; 0: none */
};

/* 0, or EXIT_USAGE, having said what is wrong. */
int log_filter_read(struct log_filter *f, const struct ctl_arguments *args);
bool log_filter_wants(const struct log_filter *f, const struct event_shm *event, const struct log_client *client);
/* Whether a message to this topic (as the index has it: a user's or everybody's begin with their bytes) is wanted. */
bool log_filter_wants_message(const struct log_filter *f, const char *name, size_t len);

/* ---- log_line.c: one line, without its end ---- */

void log_line_event(struct sink *s, bool json, const struct event_shm *event, const struct log_client *client);
void log_line_message(struct sink *s, bool json, uint64_t time, const char *object, size_t len);	/* the message as JSON */
/* Something about the log itself: `what` is "lost", with how many, or "gap". */
void log_line_of_itself(struct sink *s, bool json, const char *what, uint64_t n, const char *text);

/* ---- lines that are sorted by time before they are written ---- */

struct log_lines {
	struct log_entry {
		uint64_t time;
		size_t order;
		char *text;
	} *entry;
	size_t count, room;
};
/* Takes over a line: `write` puts it, once to measure and once to write. -1: no memory. */
int log_lines_add(struct log_lines *lines, uint64_t time, void (*write)(struct sink *s, const void *of), const void *of);

/* ---- log_source.c ---- */

struct log_source {
	const struct ctl_arguments *args;
	struct events_map map;
	uint64_t inode;			/* of the hub segment; 0: none is mapped */
	uint64_t next[EVENT_RINGS];
	uint64_t beat, beat_at;		/* the newest sign of life, and when it was seen (milliseconds) */
	uint64_t ask_at, pause;		/* when the server is asked again whether that is still its hub */
	bool told_gone;
	bool with_messages;		/* the hub is mapped as a whole, too: for the publish ring */
	struct hub hub;
	uint64_t next_message;
	uint64_t lost;			/* events and messages overwritten before they were read */
};

/* Maps the server's. 0, or the status. */
int log_source_open(struct log_source *s, const struct ctl_arguments *args, bool with_messages);
void log_source_close(struct log_source *s);
/*
 * Asks the server for its hub if this one has given no sign of life for some time. 1: it has another one, which is mapped now, and read from its beginning; 0: all
 * is as it was, or there is no server, which is waited for; else -1: it can't be read (a later version's), which was said.
 */
int log_source_check(struct log_source *s);

/* ---- log_publish.c ---- */

/* Adds the lines of messages that came since the last call, as far as they are wanted. True: there are more already. */
bool log_publish_read(struct log_source *source, const struct log_filter *f, bool json, struct log_lines *lines);

#endif

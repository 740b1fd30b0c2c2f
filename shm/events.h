/*
 * Events: what happens to connections and processes, as `janusctl log` shows it. In the hub segment, behind all else of it.
 *
 *   events_shm | event_ring_shm[EVENT_RINGS] | struct event_shm[EVENT_RINGS][EVENTS_KEPT]
 *
 * A ring has one writer at a time, who waits for nobody: a slot's is its worker, or its keeper while there is no worker; the bridge's slot's is the bridge; the master and janus-data have one each.
 * The newest EVENTS_KEPT are there. A reader, who maps it read-only and is known to nobody, copies an event and looks at its `seq` before and
 * after that; what was overwritten meanwhile it counts as lost.
 *
 * Crash rules. An event is there when its ring's `next` is past it, which is stored last. A writer that dies before that leaves a place with half of an event,
 * where its successor writes the next one: no reader looks there. What stood there before is lost a little sooner.
 *
 * This is read by janusctl of any version: struct event_shm may get new fields in what it has to spare, and kinds may be added; with any other change
 * EVENTS_VERSION goes up. In the hub segment it is found by the head of struct hub_shm, which does not depend on the layout up to there.
 */
#ifndef SHM_EVENTS_H
#define SHM_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/index.h"

#define EVENTS_MAGIC 0x31544e564553414aull	/* "JASEVNT1" */
#define EVENTS_VERSION 1
#define EVENTS_KEPT 4096			/* of a ring, a power of two: 768 KiB, once they were used */
#define EVENT_TEXT 128				/* bytes of text, at most */

/* Rings: the slots' by their numbers, and */
enum { EVENTS_MASTER = INDEX_SLOTS_MAX, EVENTS_DATA, EVENT_RINGS };

enum event_kind {
#define EVENT(number, name, word, text) EVENT_##name = number,
#include "shm/event.def"
#undef EVENT
};

/* Why: a counter (COUNTER_closed_idle...), of which there are fewer; or one of these. */
enum event_why {
	EVENT_WHY_NOTHING = 0,
	EVENT_WHY_PEER = 250,			/* the peer closed its connection, or its side of it */
	EVENT_WHY_RESET,			/* the connection broke */
	EVENT_WHY_DONE,				/* all was said: an answer that ends the connection, a close frame, keep_alive */
	EVENT_WHY_GOODBYE,			/* the server stops */
	EVENT_WHY_MOVED,			/* it came from another worker */
	EVENT_WHY_TAKEN,			/* another connection has attached to its session */
};

#define EVENT_NO_SESSION UINT32_MAX

/* What the second text of an event is. */
enum event_about { EVENT_ABOUT_TOPIC, EVENT_ABOUT_USER, EVENT_ABOUT_PATH };
#define EVENT_SUB 40				/* bytes of who had shown what, where there are other texts */

/* Where a connection comes from: of a client behind a proxy that is trusted, whom that has named (slot_peers.h), with port 0 if it has not told that. */
enum event_family { EVENT_NOWHERE, EVENT_UNIX, EVENT_IPV4 = 4, EVENT_IPV6 = 6 };
struct event_peer {
	uint8_t address[16];			/* IPv4: the first four bytes */
	uint16_t port;
	uint8_t family;				/* enum event_family */
};

struct event_shm {
	_Alignas(64) _Atomic uint64_t seq;	/* counts a ring's events from 1; 0: it is being written */
	uint64_t time;				/* microseconds since 1970 */
	uint64_t n;				/* how many, or which, as its kind has it */
	uint32_t session, check;		/* with the slot, the client (client_id.h); session EVENT_NO_SESSION: none */
	uint8_t address[16];
	uint16_t port;
	uint8_t family;
	uint8_t kind;
	uint8_t why;
	uint8_t transport;			/* enum transport, which programs of all layouts agree about as far as they know it; 255: none */
	uint8_t slot;				/* 255: none */
	uint8_t text_len;
	/* behind the text, in the same bytes (0 where a program wrote it that did not know them): */
	uint8_t about_len;			/* what it was about, */
	uint8_t sub_len;			/* and who had shown that he is this one */
	uint8_t about;				/* enum event_about */
	uint8_t spare[5];
	char text[EVENT_TEXT];			/* a user, a topic, or what was wrong; each is cut if they are longer. Not terminated */
};
_Static_assert(sizeof(struct event_shm) == 192, "layout");

struct event_ring_shm {
	_Alignas(64) _Atomic uint64_t next;	/* seq of the event to come; the writer's */
	_Atomic uint64_t beat;			/* a sign of life, now and then: milliseconds of CLOCK_MONOTONIC. None comes from a hub that is not in use any more */
	uint8_t pad[48];
};
_Static_assert(sizeof(struct event_ring_shm) == 64, "layout");

struct events_shm {
	_Alignas(64) uint64_t magic;
	uint32_t version;
	uint32_t rings;				/* EVENT_RINGS of the writer */
	uint32_t kept, size;			/* EVENTS_KEPT, and of one event */
	uint8_t pad[40];
};
_Static_assert(sizeof(struct events_shm) == 64, "layout");

struct events {
	struct events_shm *shm;
	struct event_ring_shm *ring;
	struct event_shm *event;
};

/* An event to be written. */
struct event {
	uint8_t kind, why, slot, transport;
	uint32_t session, check;
	uint64_t n;
	const struct event_peer *peer;		/* NULL: nowhere */
	const char *text;			/* NULL: none; as the two below */
	size_t text_len;
	enum event_about about;
	const char *about_text, *sub;
	size_t about_len, sub_len;
};
#define EVENT_OF_PROCESS(kind_, slot_) { .kind = (kind_), .slot = (uint8_t)(slot_), .transport = 255, .session = EVENT_NO_SESSION }

size_t events_size(void);
void events_format(void *mem);			/* zeroed memory of events_size() bytes */
int events_attach(struct events *e, void *mem, size_t size);	/* 0, or -1 with EPROTO */

/* ---- writers ---- */

void events_write(const struct events *e, unsigned ring, const struct event *event);
/* For what a process does: `text` is formatted. Not where time counts. */
void events_say(const struct events *e, unsigned ring, enum event_kind kind, uint64_t n, const char *format, ...) __attribute__((format(printf, 5, 6)));
void events_beat(const struct events *e, unsigned ring, uint64_t now_ms);

/* ---- readers ---- */

/* The hub segment, mapped read-only for its events alone, whatever its layout is. 0, or -1 with errno: EPROTO, it has none that this program can read. */
struct events_map {
	struct events events;
	void *mem;
	size_t size;
	uint64_t started;			/* when the server began, microseconds since 1970 */
};
int events_map(struct events_map *map, int fd);
void events_unmap(struct events_map *map);

/*
 * The event `*next` of a ring, or the first one behind it that is still there; *next is then that of the one behind. False: there is none yet.
 * What was overwritten is added to *lost. At first *next is 1 for all that are there, or events_next() for those to come.
 */
bool events_read(const struct events *e, unsigned ring, uint64_t *next, struct event_shm *copy, uint64_t *lost);
/* Of what was read, what it was about and who had shown that he is this one. NULL: nothing is said of it. */
const char *event_about_text(const struct event_shm *event);
const char *event_about_name(unsigned about);	/* topic, user, path */
const char *event_sub(const struct event_shm *event);
uint64_t events_next(const struct events *e, unsigned ring);
uint64_t events_oldest(const struct events *e, unsigned ring);

/* The newest sign of life of all rings. */
uint64_t events_newest_beat(const struct events *e);

#endif

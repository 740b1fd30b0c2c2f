/*
 * Clients as operators see them, read from the slot segments by a process that maps them read-only, takes no lock and asks nobody: while workers
 * go on. What is read may change meanwhile, so no index is followed that does not lie within its table, no list for longer than it can be, and
 * a session counts as read only if it is the same one behind as before. Its numbers need not be of one instant.
 *
 * Memory that was never used is not touched (a hole of a memfd that is read takes a page): no sessions beyond `fd_end`, no topics beyond `high`.
 */
#ifndef SHM_CLIENTS_H
#define SHM_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/rights.h"
#include "shm/client_id.h"
#include "shm/events.h"
#include "shm/hub.h"
#include "shm/slot.h"

#define CLIENT_UNKNOWN UINT32_MAX

struct client_info {
	uint32_t slot, session;
	uint8_t token[TOKEN_BYTES];		/* for client_id_check(); to be shown to nobody */
	uint32_t transport;			/* enum transport */
	bool behind, parked, ending;		/* ending: it was told to go, and is sent what is left */
	struct event_peer behind_proxy;		/* who a proxy says that it is; EVENT_NOWHERE: nobody says anything */
	bool tls;				/* its connection is one of TLS */
	uint32_t count;				/* of its subscriptions, with users and what goes to everybody */
	uint64_t lag;				/* the ring's messages, of whatever topics, that it has not passed yet */
	uint64_t bytes_in, bytes_out;		/* dealt with; accepted by the kernel, over its connection's life */
	uint32_t idle;				/* seconds since something was received or sent */
	uint32_t age;				/* seconds since it connected; CLIENT_UNKNOWN */
};

/* Maps a slot segment for reading. 0, or -1 with errno: EPROTO when it is none, has another layout, or says of itself what can't be. */
int clients_attach(struct slot *slot, int fd);

/* One above the highest session that there may be. */
uint32_t clients_end(const struct slot *slot);

/* Reads one session. `now`: seconds of CLOCK_MONOTONIC. False: there is none. */
bool clients_read(const struct hub *hub, const struct slot *slot, unsigned number, uint32_t session, uint32_t now, struct client_info *info);

/* The client with this id; false: it is not there (any more). */
bool clients_find(const struct hub *hub, const struct slot *slot, const struct client_id *id, uint32_t now, struct client_info *info);

/* What a client has shown: a token, a key or its certificate. */
struct client_who {
	bool shown;				/* false: nothing, on this connection */
	uint8_t sub_len;			/* 0: nobody in particular */
	char sub[RIGHTS_SUB_MAX];
	int64_t expires;			/* seconds since 1970, at which it ends; INT64_MAX: never */
};
void clients_who(const struct slot *slot, const struct client_info *info, struct client_who *who);

/*
 * Calls each() with the names of what the client subscribes, as they stand in the index: a user's begins with NAME_INBOX, what goes to everybody is
 * NAME_EVERYBODY. It ends early if each() returns false. Returns false if the list changed meanwhile: what was told may be another's.
 */
bool clients_names(const struct hub *hub, const struct slot *slot, const struct client_info *info,
		   bool (*each)(void *arg, const char *name, size_t len), void *arg);

#endif

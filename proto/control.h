/*
 * The control protocol between janusctl and the master, on a SOCK_SEQPACKET socket: one packet a request, one packet the reply, each
 * a msgpack map keyed by name.
 *
 *   request   {"v": 1, "cmd": "status" | "reload" | "hub" | "slots" | "config" | "log" | "kick" | "drain" | "stop", ...}; "arg": a word that says what of the
 *             command, where it takes one
 *   reply     {"v": 1, "ok": true, ...} or {"v": 1, "ok": false, "error": "text"}
 *
 *   status    ... "version", "pid", "revived", "started", "file", "runtime_dir", "data", "data_error", "nodes", "listen": [url...], "admin": url, "connections_max", "buffered", "buffered_max",
 *             "by_transport": {"flash": connections, ...}, "workers":
 *             [{"slot", "state", "keeper", "worker", "connections", "restarts", "generation"}...]
 *   reload    what it did, when it is done: control_report.h. Or the error says why it did not
 *   config    what is in force, from where, and what waits for a restart: control_report.h
 *   log       nothing more: the level (the word) is that of all processes' logs until the next reload; `default`: what the configuration says
 *   hub       nothing more; the reply carries a descriptor of the hub segment, opened read-only (SCM_RIGHTS)
 *   slots     the same of every slot segment: which slot's each is says its name in /proc
 *
 *   kick      request: one of "id", "topic", "user", "sub"; "reason". Reply: "order", its number, and "order_slots", a bit for each that is going to do it: what became
 *             of it stands in the hub
 *   drain     request: "rate", clients a second, 0: no more; "slot", all if it is absent. The reply has nothing more
 *   stop      nothing more: the server stops, and the connection ends when it has ended
 *
 * A later version may add keys and commands: keys that are not known are ignored, absent ones are 0 or "". `v` goes up only when
 * that is not enough. No I/O here, and whatever the bytes are, decoding them does nothing worse than to fail.
 */
#ifndef PROTO_CONTROL_H
#define PROTO_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/transport.h"

#define CONTROL_VERSION 1
#define CONTROL_PACKET_MAX 131072	/* bytes; more than any packet below can take */
#define CONTROL_REQUEST_MAX 2048	/* of a request */
#define CONTROL_LISTEN_MAX 64
#define CONTROL_WORKERS_MAX 64
#define CONTROL_ERROR_MAX 512
#define CONTROL_ARGUMENT_MAX 256

enum control_command {
	CONTROL_UNKNOWN, CONTROL_STATUS, CONTROL_RELOAD, CONTROL_HUB, CONTROL_SLOTS, CONTROL_CONFIG, CONTROL_LOG, CONTROL_KICK, CONTROL_DRAIN, CONTROL_STOP
};

struct control_request {
	enum control_command command;
	char name[32];			/* of the command, as received; for the answer to an unknown one */
	char argument[CONTROL_ARGUMENT_MAX];	/* config, log; "": none */
	char id[32], topic[256], user[256], sub[256], reason[128];	/* kick; "": it is not there */
	uint64_t rate;			/* drain */
	uint32_t slot;			/* drain; CONTROL_NO_SLOT: it is not there */
};
#define CONTROL_NO_SLOT UINT32_MAX

enum control_state { CONTROL_STATE_UNKNOWN, CONTROL_STATE_EMPTY, CONTROL_STATE_STARTING, CONTROL_STATE_LIVE, CONTROL_STATE_DRAINING };

struct control_worker {
	uint32_t slot;
	enum control_state state;
	uint32_t keeper, worker;	/* process ids, 0 none */
	uint64_t connections, restarts, generation;
};

struct control_status {
	char version[64];
	uint32_t pid;
	uint32_t revived;		/* 1: a keeper has started this master, which may have fewer privileges than the first */
	uint64_t started;		/* seconds since 1970 */
	char file[4096];		/* configuration, "" none */
	char runtime_dir[256];
	char data[256];			/* the setting, "" none */
	char data_error[128];		/* why nothing is written there, "" all is */
	char nodes[256];		/* how it is with other nodes, in words, "" there are to be none */
	char listen[CONTROL_LISTEN_MAX][128];	/* URLs as bound */
	unsigned listeners;
	char admin[128];		/* the server's own admin listener, a URL; not among those that clients connect to */
	uint64_t connections_max;
	uint64_t buffered, buffered_max;	/* bytes kept for connections, and how many may be */
	uint64_t by_transport[TRANSPORT_GROUPS];	/* connections */
	struct control_worker worker[CONTROL_WORKERS_MAX];
	unsigned workers;
	uint64_t gone, until;		/* for who finds it without a master, not in any packet: since when there is none, and how long keepers wait for one; microseconds since 1970, 0: there is one */
};

struct control_reply {
	bool ok;
	char error[CONTROL_ERROR_MAX];	/* when not ok */
	uint64_t order, slots;		/* kick */
};

/* "status", "reload" and so on; "live" and so on; "unknown" for what is none. And back. */
const char *control_command_name(enum control_command command);
enum control_command control_command_find(const char *name);
const char *control_state_name(enum control_state state);

/* Each writes a packet to dst[CONTROL_PACKET_MAX], a request to dst[CONTROL_REQUEST_MAX], and returns its length. Texts are terminated strings within their arrays; an error text
 * that is too long is cut; control_reply_pack() writes the reply without more, error NULL being ok. */
size_t control_request_pack(void *dst, enum control_command command);
size_t control_request_write(void *dst, const struct control_request *request);	/* with all that is there but `name` */
size_t control_order_pack(void *dst, uint64_t order, uint64_t slots);
size_t control_reply_pack(void *dst, const char *error);
size_t control_status_pack(void *dst, const struct control_status *status);

/* Each decodes a packet. 0, or -1 with errno: EBADMSG is no such packet, EPROTONOSUPPORT another protocol version. A command that is not
 * known is CONTROL_UNKNOWN and no error. `status` may be NULL; it is filled in when the reply is ok. */
int control_request_unpack(const void *src, size_t len, struct control_request *request);
int control_reply_unpack(const void *src, size_t len, struct control_reply *reply, struct control_status *status);

#endif

/*
 * The parts of janusctl. janusctl.c knows the commands and reads the command line; each command is a function here, which asks (ask.c), and
 * writes what came back to stdout, as text or as JSON.
 */
#ifndef MASTER_CTL_CTL_H
#define MASTER_CTL_CTL_H

#include <stdbool.h>

#include "master/config.h"
#include "proto/control.h"
#include "shm/clients.h"
#include "shm/hub.h"

#define CTL_TOPICS_MAX 64		/* that subscribe takes */

/* A command's status, and the program's. */
enum { EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_NO_SERVER, EXIT_NO_MASTER };

/* Options that some commands take, beside those that all do: janusctl.c has their names and says what they are, and which command takes which. */
enum ctl_option {
	CTL_TOP, CTL_TRANSPORT, CTL_USER, CTL_TOPIC, CTL_ADDRESS, CTL_SLOT, CTL_BEHIND, CTL_IDLE, CTL_REASON, CTL_RATE, CTL_STOP,
	CTL_LINES, CTL_LAST, CTL_SINCE, CTL_COUNT, CTL_CLIENT, CTL_KIND, CTL_ONCE,
	CTL_SUB, CTL_CHANNELS, CTL_USERS, CTL_ALLOW, CTL_EXPIRE, CTL_KEY,
	CTL_OPTIONS
};

struct ctl_arguments {
	struct config_source source;		/* -c and -o */
	bool json;
	const char *option[CTL_OPTIONS];	/* what was given, NULL: nothing; "" for one that takes no value */
	const char *const *operand;		/* what follows the command: as many as the command says that it takes */
	int operands;
};

/* ---- commands: each returns its status, and has said on stderr what is wrong ---- */

int ctl_status(const struct ctl_arguments *args);
int ctl_stats(const struct ctl_arguments *args);
int ctl_topics(const struct ctl_arguments *args);
int ctl_workers(const struct ctl_arguments *args);
int ctl_nodes(const struct ctl_arguments *args);
int ctl_clients(const struct ctl_arguments *args);
int ctl_client(const struct ctl_arguments *args);
int ctl_kick(const struct ctl_arguments *args);
int ctl_drain(const struct ctl_arguments *args);
int ctl_stop(const struct ctl_arguments *args);
int ctl_publish(const struct ctl_arguments *args);
int ctl_send(const struct ctl_arguments *args);
int ctl_subscribe(const struct ctl_arguments *args);
int ctl_rtt(const struct ctl_arguments *args);
int ctl_reload(const struct ctl_arguments *args);
int ctl_config(const struct ctl_arguments *args);
int ctl_token(const struct ctl_arguments *args);
int ctl_version(const struct ctl_arguments *args);
int ctl_top(const struct ctl_arguments *args);
int ctl_log(const struct ctl_arguments *args);
int ctl_log_level(const struct ctl_arguments *args);	/* `log LEVEL` */

/* ---- ask.c ---- */

/* Connects to the server that the arguments mean. 0 and *fd, or the status; EXIT_NO_MASTER: it serves without one. `quiet`: neither is anything to complain about. */
int ctl_connect(const struct ctl_arguments *args, bool quiet, int *fd);

/* After EXIT_NO_MASTER: has that server stop, and waits until it has. 0, or -1 with errno, as masterless_stop(). */
int ctl_stop_masterless(unsigned wait_seconds);

/* One request and its reply. 0, or the status. `quiet`: no server is nothing to complain about. `status` or `passed` is there, as for control_client_call(). When the
 * master does not answer, as it is stopped, or has died, the hub segment is found without it; and a status is what that says (ctl_status_of_hub()), which stderr was told
 * of one that is stopped. If the segment can't be had, `status` has the master's pid alone. */
int ctl_ask(const struct ctl_arguments *args, bool quiet, enum control_command command, struct control_status *status, int *passed);

/* Says on stderr why there is no reply, from errno. The status. */
int ctl_complain(int fd, enum control_command command);

/* The same with a word that says more of the command ("": none), for answers that are read by who asked: packet[CONTROL_PACKET_MAX]. 0, also when the
 * reply is a refusal; or the status, and what is wrong was said. */
int ctl_ask_packet(const struct ctl_arguments *args, enum control_command command, const char *argument, void *packet, size_t *packet_len,
		   struct control_reply *reply);

/* Maps the hub segment, read-only. 0, or the status. The caller detaches it. */
int ctl_open_hub(const struct ctl_arguments *args, struct hub *hub);

/* Maps the slots' segments, read-only: those that there are have a `shm`. 0, or the status. In either case the caller closes them. */
int ctl_open_slots(const struct ctl_arguments *args, struct slot slots[INDEX_SLOTS_MAX]);
void ctl_close_slots(struct slot slots[INDEX_SLOTS_MAX]);

/* A number that an option (`name` is its own) was given, 1 to most; `otherwise` if it was not given. 0, or EXIT_USAGE, having said what it takes. */
int ctl_number(const struct ctl_arguments *args, enum ctl_option option, const char *name, unsigned long most, unsigned long otherwise, unsigned long *n);

/* The same, from 0 on; -1 if it was not given. */
int ctl_whole_number(const struct ctl_arguments *args, enum ctl_option option, const char *name, long most, int64_t *n);

/* 30s, 10m, 2h, 1d, up to 1,000,000 of them. False: it is none of these. */
bool ctl_span(const char *text, uint64_t *seconds);

/* ---- how it is written ---- */

/* Replaces in text for people what a terminal would act on, but for control characters below a space (tame.c). */
void ctl_tame(char *text);

/* Adds to an empty status what the hub knows: all but version, configuration, data, addresses and connections_max. */
void ctl_status_of_hub(const struct hub *hub, struct control_status *status);
/* When keepers that have no master stop unless one comes, microseconds since 1970; 0: at once. */
uint64_t ctl_ends(const struct hub *hub);
/* The master answered; else the status is the hub's: the master is stopped, or there is none (pid 0). */
bool ctl_status_answered(const struct control_status *status);

void ctl_text_status(const struct control_status *status);
void ctl_json_status(const struct control_status *status);

/* A JSON string; a pair of a key and one. */
void ctl_json_string(const char *text);
void ctl_json_pair(const char *key, const char *value);

void ctl_text_stats(const struct hub *hub);
void ctl_json_stats(const struct hub *hub);

/* ---- stats.c ---- */

/* What a slot's state is called. */
const char *ctl_stats_state(const struct hub *hub, unsigned slot);

#endif

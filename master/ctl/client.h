/*
 * janusctl's end of the control socket.
 */
#ifndef MASTER_CTL_CLIENT_H
#define MASTER_CTL_CLIENT_H

#include <sys/types.h>

#include "proto/control.h"

/* Connects to the master that runs with that runtime folder. The descriptor, or -1 with errno; ENOENT and ECONNREFUSED: there is none. */
int control_client_open(const char *runtime_dir);

/*
 * Sends one request and waits up to `wait_seconds` for its reply (ETIMEDOUT). `status` and `passed` may be NULL: they are for the
 * answers to CONTROL_STATUS and CONTROL_HUB. *passed becomes the descriptor that came with the reply (close-on-exec, the caller
 * closes it), or -1. 0, also when the reply is a refusal (reply->ok says it); -1 with errno: ECONNRESET when the master closed the
 * connection, EBADMSG, EPROTONOSUPPORT.
 */
int control_client_call(int fd, enum control_command command, unsigned wait_seconds, struct control_reply *reply,
			struct control_status *status, int *passed);

/* The same for a request that says more than its command. */
int control_client_act(int fd, const struct control_request *what, unsigned wait_seconds, struct control_reply *reply);

/* After CONTROL_STOP: waits until the server has ended. 0; -1 with errno: ETIMEDOUT. */
int control_client_wait_end(int fd, unsigned wait_seconds);

/* The same for CONTROL_SLOTS: fds[INDEX_SLOTS_MAX] become the slots' segments. How many; -1 with errno. */
int control_client_slots(int fd, unsigned wait_seconds, struct control_reply *reply, int *fds);

/* The same with a request and a reply of any kind, as packets, and no descriptors: reply[CONTROL_PACKET_MAX] and its length, or -1 with errno. */
ssize_t control_client_exchange(int fd, const void *request, size_t len, unsigned wait_seconds, void *reply);

/* The process at the other end, 0: that can't be said. */
pid_t control_client_peer(int fd);

/*
 * The hub segment as a process of the server has it, which need not answer (the master may be stopped, a keeper is not asked): that process's own descriptor,
 * opened again for reading by way of /proc. -1 with errno: that takes the same user, or root.
 */
int control_client_find_hub(pid_t pid);
/* The same of slots' segments: up to `most` of them, how many. Those of another layout may be among them. */
unsigned control_client_find_slots(pid_t pid, int *fds, unsigned most);
/* Which slot's a segment is. -1: none's. */
int control_client_slot_of(int fd);

#endif

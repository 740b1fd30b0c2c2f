/*
 * A keeper's door: a listening Unix socket (SOCK_SEQPACKET), `slot.N` in the runtime folder, by which a master that did not make the keeper finds it. The master makes it, as nobody else can make
 * files there; the keeper has it in its descriptor table, so it outlives the keeper's being made again by its worker, reloads and upgrades.
 *
 * Whoever connects must prove that he is the master: his process has the write lock of the lock file's first byte (runtime_dir.h), as the kernel says. What comes by the connection then are orders (orders.h).
 */
#ifndef MASTER_DOOR_H
#define MASTER_DOOR_H

#include <stdbool.h>
#include <sys/types.h>

/* By the master: makes it, in the place of one that an earlier keeper had, for `owner` (root may connect in any case). Not close-on-exec; -1 with errno. */
int door_open(const char *runtime_dir, unsigned slot, uid_t owner);

/* By the master: removes the file, or all of them. */
void door_remove(const char *runtime_dir, unsigned slot);
void door_remove_all(const char *runtime_dir);

/* Whether there is the file; or any. */
bool door_there(const char *runtime_dir, unsigned slot);
bool door_any(const char *runtime_dir);

/*
 * By a new master: connects. The socket says of each message who sent it (SO_PASSCRED); it does not block, nor close when a program is executed. -1 with errno: ENOENT, there is no such door; ECONNREFUSED, nobody
 * has it open any more; EAGAIN, too many knock.
 */
int door_connect(const char *runtime_dir, unsigned slot);

/* By the keeper, who does not wait: who knocks and is the master. `lock`: its descriptor of the lock file. The connection, not close-on-exec; -1: nobody, or it was no master, and is told nothing. *master: its number. */
int door_answer(int door, int lock, pid_t *master);

#endif

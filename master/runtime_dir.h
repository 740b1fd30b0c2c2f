/*
 * The runtime folder: who may run (the lock file `lock`), and where janusctl finds the master (the socket `control`).
 *
 * The lock file bears POSIX record locks (fcntl), a byte each:
 *
 *   byte 0   write lock: the master, one a folder
 *   byte 1   read lock: each keeper. While there is one, listen ports and connections of that server are still open
 *   byte 2   write lock: a master that a keeper has started (revive.h). It makes way for one that is started otherwise
 *   further  write lock: keeper, spare and worker of a slot that run the same program; a byte for each program that the slot's keepers execute, one after the other
 *
 * Such a lock belongs to a descriptor table, not to a process or a descriptor:
 *  - fork() does not hand it on; execve() keeps it, as long as the caller shared its table with nobody.
 *  - A worker made with CLONE_FILES shares its keeper's. So byte 1 is held until keeper, spare and worker are all gone: just as long
 *    as the table keeps the sockets open.
 *  - A keeper that calls execve() while its spare lives gets a table of its own, and the lock stays behind with the spare's: it
 *    has to call runtime_dir_hold() again.
 *  - Closing ANY descriptor of the file, anywhere in the table, drops all the table's locks on it. So a process opens the
 *    file once, keeps that descriptor as long as it lives, and a worker must not close it either.
 */
#ifndef MASTER_RUNTIME_DIR_H
#define MASTER_RUNTIME_DIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "shm/settings.h"

#define RUNTIME_DIR_ERROR_MAX 512

struct runtime_dir {
	char path[SETTINGS_TEXT_MAX];
	int lock;		/* of the lock file; not close-on-exec: keepers need it, and a master that execs a newer one */
	bool left_behind;	/* there was an earlier master that did not end by itself: its listen sockets may be closed later than its lock */
	int control;		/* bound and listening, SOCK_SEQPACKET, non-blocking, close-on-exec, mode 0600 (0660, with a group) */
};

/*
 * Makes the folder (0755) if there is none, takes the master's lock, waits up to wait_ms for keepers that a killed master
 * left behind, removes what that one left, and opens the control socket. Blocks while it waits. A master that execs a newer
 * one hands it the two descriptors instead. 0, or -1 and a message in error[]: among the reasons are another master (its process
 * id is named), a folder that others may write to, a path too long for a socket. Master only.
 */
int runtime_dir_open(struct runtime_dir *dir, const char *path, unsigned wait_ms, char error[RUNTIME_DIR_ERROR_MAX]);

/*
 * runtime_dir_open() in two steps: the folder and the master's lock; then, if nobody is there whom this master adopts (adoption.h), the rest. Between them `control` is -1. Should the
 * second fail, or not be called, dir->lock is the caller's to close.
 */
int runtime_dir_lock(struct runtime_dir *dir, const char *path, char error[RUNTIME_DIR_ERROR_MAX]);
int runtime_dir_wait(struct runtime_dir *dir, unsigned wait_ms, char error[RUNTIME_DIR_ERROR_MAX]);
int runtime_dir_serve(struct runtime_dir *dir, char error[RUNTIME_DIR_ERROR_MAX]);

/* Who is the master, as a keeper sees it: a process id, 0 nobody, -1 somebody of another pid namespace. `lock`: its descriptor of the lock file. */
pid_t runtime_dir_master(int lock);
/* The same of one that holds a keeper's lock, as the master sees it. */
pid_t runtime_dir_keeper(int lock);

/*
 * runtime_dir_lock() for a master that a keeper has started: dir->path is set, and the lock is taken by the keeper's descriptor of the file, as this process may not be allowed to open it. -1 and error[]: there is a
 * master by now, or the file is another one.
 */
int runtime_dir_take(struct runtime_dir *dir, int lock, char error[RUNTIME_DIR_ERROR_MAX]);

/* Gives the control socket, and the socket `admin` beside it, to a user (root may use them in any case), and to the members of a group; "": nobody else. 0, or -1 and error[]: there is no such group, or the caller may not give it. */
int runtime_dir_share(const struct runtime_dir *dir, uid_t owner, const char *group, char error[RUNTIME_DIR_ERROR_MAX]);

/* Removes control socket and lock file, and lets the lock go. All keepers have been reaped. Not for a forked child. Master only. */
void runtime_dir_close(struct runtime_dir *dir);

/* Takes a keeper's lock; `lock` is the descriptor inherited from the master. Keepers only, first thing; after it, a keeper
 * looks whether its master is still there: from then on either a next master waits for this keeper, or the keeper sees that it is
 * an orphan. 0, or -1 with errno. */
int runtime_dir_hold(int lock);

/* For a spare that has become the keeper: it has the dead one's lock, but in that one's name (process id). There is none for an instant. */
int runtime_dir_hold_anew(int lock);

/*
 * For a keeper that was executed: notes that there is this program of its slot. *program, its number among them, goes up if somebody has the byte. 0, or -1 with errno.
 * The lock goes with the last process that shares the table, and before its parent's death is told to anybody.
 */
int runtime_dir_hold_program(int lock, unsigned slot, uint32_t *program);

/* Whether anybody is left of a program that was executed behind this one. Exact for a process whose parent has died. */
bool runtime_dir_followed(int lock, unsigned slot, uint32_t program);

/* Who holds that folder's locks: process ids, 0 nobody, -1 a process that can't be seen from here (another container's). For who only looks: the folder
 * need not be there, and then nobody does. Not for who holds a lock himself. */
struct runtime_dir_holders {
	pid_t master;
	pid_t keeper;		/* one of them, or of the processes that live as long as they do */
};
struct runtime_dir_holders runtime_dir_holders(const char *path);

/* The control socket's address for that folder. 0, or -1 with ENAMETOOLONG (108 bytes with the NUL are all the kernel takes). */
int runtime_dir_control(const char *path, struct sockaddr_un *addr);

#endif

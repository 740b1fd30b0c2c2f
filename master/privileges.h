/*
 * Who a process runs as, and how many descriptors it may have.
 */
#ifndef MASTER_PRIVILEGES_H
#define MASTER_PRIVILEGES_H

#include <pwd.h>
#include <stdint.h>
#include <sys/types.h>

#define PRIVILEGES_ERROR_MAX 256

/*
 * Whom keepers, workers and janus-data run as, of a server that is root's: the setting `user`, or janus if that is empty and there is such a user. NULL:
 * nobody else, as it is not root's; or with errno, 0 for no such user.
 */
const struct passwd *privileges_user(const char *user);

/* Whether they have somebody to run as. 0; or -1, and *error says what to do. */
int privileges_check(const char *user, char error[PRIVILEGES_ERROR_MAX]);

/*
 * Becomes that user and its groups, for good, keeps no capability (also not as root, if `user` says root), and can get none by executing a program.
 * Not as root: the same but for the user. 0, or -1 with errno (logged).
 */
int privileges_drop(const char *user);

/*
 * Whom the kernel kills first when memory is short: a worker, whose death costs nobody his connection, before its keeper, whose death costs those of
 * the slot, before the master. `more` is added to what the master was given (OOMScoreAdjust=, privileges_oom_own(); it stands in the hub); that takes no privilege. A process that
 * can't set it goes on.
 */
enum { OOM_KEEPER = 100, OOM_WORKER = 300 };
int privileges_oom_own(void);
void privileges_oom(int master, int more);

#define DESCRIPTORS_MAX (1u << 20)	/* that a slot makes use of */

/* Raises RLIMIT_NOFILE to the hard limit. Returns the descriptors that a slot may have then. */
uint32_t privileges_raise_descriptors(void);

#endif

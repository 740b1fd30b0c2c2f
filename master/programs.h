/*
 * Which programs have been this server's: the file `programs` in the runtime folder, in which only the master can make files.
 *
 * A master that takes keepers over executes the program that they hand it (adoption.h). They run as the workers' user, and who has broken into a worker can answer in their stead, with a descriptor of any file of root's: an
 * old tool with a known hole, say. So root executes only what has been the master here, as that stands in a file which no worker can write. It is found by its inode and the time of that one's birth, as a
 * package's upgrade has the file gone from its path, and what is gone can't be put there again.
 */
#ifndef MASTER_PROGRAMS_H
#define MASTER_PROGRAMS_H

#include <stdbool.h>

/* By a master that has the lock, before any keeper runs its program: this process's program is one. Does nothing but as root, who alone asks. What can't be written is logged. */
void programs_note(const char *runtime_dir);

/* Whether it is one of them, or the very file that this process runs. */
bool programs_has(const char *runtime_dir, int program);

/* The server ends. */
void programs_forget(const char *runtime_dir);

#endif

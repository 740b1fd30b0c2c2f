/*
 * The files that settings name and workers may not be allowed to read: read, checked, and put where workers get them (shm/secrets.h).
 */
#ifndef MASTER_SECRET_FILES_H
#define MASTER_SECRET_FILES_H

#include "master/config.h"

/*
 * Reads all that the settings name. *fd is the memfd, sealed, not close-on-exec; -1: they name nothing. 0, or -1 and in error[] which file is wrong and
 * why, and in errno EACCES if that is all: it may not be read by who asks.
 */
int secret_files_read(const struct settings *settings, int *fd, char error[CONFIG_ERROR_MAX]);

/* A memfd of its own with what is for NATS among them, as the bridge, which speaks with other hosts, is to know nothing else of this. `all`: that of secret_files_read(). -1 with errno. */
int secret_files_of_nats(int all);
/* Which settings' files have other contents than before (-1: there were none), divided by commas. */
#define SECRET_FILES_CHANGED_MAX 320
void secret_files_changed(int before, int now, char dst[SECRET_FILES_CHANGED_MAX]);

#endif

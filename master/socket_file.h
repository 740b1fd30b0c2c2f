/*
 * The file that a Unix listen socket has in the file system.
 *
 * It is made for everybody to connect to (mode 0666, whatever the umask): so is a TCP socket. Who wants fewer puts it into a folder that
 * only they may enter. One for who runs the server is made for owner and group (0660). One left behind by a server that was killed is replaced; one that somebody accepts on, and anything
 * else that stands at the path, is left alone.
 *
 * A file is removed by the server whose socket it belongs to and by nobody else. That it does, its inode tells: as long as a process
 * has the socket open, no other file is given the number.
 */
#ifndef MASTER_SOCKET_FILE_H
#define MASTER_SOCKET_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Which file it is; all zero: none. */
struct socket_file {
	uint64_t dev, ino;
};

/* Binds the socket to the path, which has room in a sockaddr_un, and listens. `mode` is the file's, from its first moment on. 0 and *file; or -1, and what is wrong in why[]. */
int socket_file_listen(int fd, const char *path, mode_t mode, int backlog, struct socket_file *file, char *why, size_t size);

/* Whether that could be done; changes nothing. 0, or -1 with errno, and what is wrong in why[]. */
int socket_file_try(const char *path, char *why, size_t size);

/* Is it still what the path leads to? The socket is open, in whatever process. */
bool socket_file_in_place(const struct socket_file *file, const char *path);

/* Removes it, if it is still what the path leads to. The socket is open, in whatever process. */
void socket_file_remove(const struct socket_file *file, const char *path);

#endif

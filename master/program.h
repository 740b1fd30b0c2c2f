/*
 * The program that is executed: a descriptor of it, rather than what stands at its path at the moment. Packages are unpacked, files
 * removed and links switched while the server runs; only a reload looks at the path.
 */
#ifndef MASTER_PROGRAM_H
#define MASTER_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* The path by which this process was called, made absolute. Links in it are not followed: a reload is to find the program to which a link leads by
 * then. Only the first master asks; those that follow are given the path. 0, or -1 with errno. */
int program_path(char *dst, size_t size);

/* An O_PATH descriptor, close-on-exec, of the program that this process runs, whatever has become of its file. -1 with errno (ENOENT: /proc
 * is not mounted). */
int program_running(void);

/* Whether `fd` is the very file that this process runs, and of the libraries that it has loaded none was replaced since: executing it would change nothing. False also if that can't be found out. */
bool program_is_running(int fd);

/* Whether two descriptors are of one file. */
bool program_same_file(int a, int b);

/* A descriptor like program_running()'s of what stands at a path. -1 with errno: EACCES if it is no file that may be executed. */
int program_open(const char *path);

/* Executes it in place of the caller. Returns only if that fails, with errno. */
void program_execute(int fd, char *const argv[]);

#define PROGRAM_PATH_MAX 4352

/* Where the program is that the server starts beside itself, as one with libraries of its own: in the folder of the server's (`program`, a path), as it is built, or where packages put it.
 * 0, or -1 with errno: it is not there, and path[] says where it would be. */
int program_helper(char path[PROGRAM_PATH_MAX], const char *program, const char *name);

/* The same with the arguments that this one was started with, and `option`=`number` ahead of them. */
void program_become(int fd, char **argv, const char *option, int number);

/* Why it could not be executed, in words. */
const char *program_error(int error);

#endif

/*
 * The program that is executed. See program.h.
 */
#include "master/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

int program_path(char *dst, size_t size)
{
	/* The path that execve() was given. A program that was executed by descriptor has none: then the path of the file that it runs. */
	const char *name = (const char *)getauxval(AT_EXECFN);
	char folder[4096] = "";
	ssize_t n;

	if (name && strncmp(name, "/dev/fd/", 8) != 0) {
		if (name[0] != '/' && !getcwd(folder, sizeof(folder)))
			return -1;
		if ((size_t)snprintf(dst, size, "%s%s%s", folder, folder[0] && folder[1] ? "/" : "", name) < size)
			return 0;
		errno = ENAMETOOLONG;
		return -1;
	}
	n = readlink("/proc/self/exe", dst, size - 1);
	if (n < 0)
		return -1;
	dst[n] = '\0';
	return 0;
}

int program_running(void)
{
	return open("/proc/self/exe", O_PATH | O_CLOEXEC);
}

/* Of a file that is gone from its path the kernel says so (proc_pid_maps(5)). Code only: shared memory has no path either. */
static bool libraries_are_current(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[8192], permissions[8];
	bool current = maps != NULL;

	while (current && fgets(line, sizeof(line), maps))
		current = sscanf(line, "%*s %7s", permissions) != 1 || permissions[2] != 'x' || !strstr(line, " (deleted)\n");
	if (maps)
		fclose(maps);
	return current;
}

bool program_same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool program_is_running(int fd)
{
	struct stat st, running;

	return fstat(fd, &st) == 0 && stat("/proc/self/exe", &running) == 0 && st.st_dev == running.st_dev && st.st_ino == running.st_ino &&
	       libraries_are_current();
}

int program_open(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		return fd;
	close(fd);
	errno = EACCES;
	return -1;
}

void program_execute(int fd, char *const argv[])
{
	execveat(fd, "", argv, environ, AT_EMPTY_PATH);
}

int program_helper(char path[PROGRAM_PATH_MAX], const char *program, const char *name)
{
	const char *slash = strrchr(program, '/');

	snprintf(path, PROGRAM_PATH_MAX, "%.*s/%s", slash ? (int)(slash - program) : 0, program, name);
	if (access(path, X_OK) == 0)
		return 0;
	snprintf(path, PROGRAM_PATH_MAX, "%s/%s", JANUS_LIBEXEC, name);
	return access(path, X_OK);
}

static char **with_option(char **argv, char *option)
{
	size_t n = 0;
	char **args;

	while (argv[n])
		n++;
	args = calloc(n + 2, sizeof(*args));
	if (!args)
		return NULL;
	args[0] = argv[0];
	args[1] = option;
	memcpy(args + 2, argv + 1, (n - 1) * sizeof(*args));
	return args;
}

void program_become(int fd, char **argv, const char *option, int number)
{
	char text[64];
	char **args;

	snprintf(text, sizeof(text), "%s=%d", option, number);
	args = with_option(argv, text);
	if (args)
		program_execute(fd, args);
	free(args);
}

const char *program_error(int error)
{
	/* The descriptor is close-on-exec: the interpreter of a script would find nothing under its number. */
	return error == ENOENT ? "it is a script, or what loads it is missing" : strerror(error);
}

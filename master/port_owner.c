/*
 * Who listens on a TCP port. /proc/net/tcp says the socket's inode, and a process that has it open has a descriptor socket:[INODE].
 */
#include "master/port_owner.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTENING 0x0a		/* TCP_LISTEN, as /proc/net/tcp has it */
#define INODES_MAX 16		/* sockets of one port: of several addresses, or with SO_REUSEPORT */

static unsigned find_inodes(const char *table, unsigned port, unsigned long *inode, unsigned count)
{
	char line[512];
	FILE *f = fopen(table, "re");

	while (f && count < INODES_MAX && fgets(line, sizeof(line), f)) {
		unsigned local, state;
		unsigned long n;

		if (sscanf(line, "%*s %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu", &local, &state, &n) == 3 && local == port &&
		    state == LISTENING)
			inode[count++] = n;
	}
	if (f)
		fclose(f);
	return count;
}

static bool has_socket(int proc, const char *pid, const unsigned long *inode, unsigned count)
{
	char path[300], target[64];
	const struct dirent *entry;
	bool found = false;
	ssize_t n;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	while (dir && !found && (entry = readdir(dir)) != NULL) {
		n = readlinkat(fd, entry->d_name, target, sizeof(target) - 1);
		if (n < 8 || memcmp(target, "socket:[", 8) != 0)
			continue;
		target[n] = '\0';
		for (unsigned i = 0; i < count; i++)
			found |= strtoul(target + 8, NULL, 10) == inode[i];
	}
	if (dir)
		closedir(dir);
	return found;
}

static void write_process(long pid, char *dst, size_t size)
{
	char path[64], name[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
	snprintf(dst, size, "process %ld (%s)", pid, name);
}

void port_owner(unsigned port, char *dst, size_t size)
{
	unsigned long inode[INODES_MAX];
	unsigned count = find_inodes("/proc/net/tcp6", port, inode, find_inodes("/proc/net/tcp", port, inode, 0));
	const struct dirent *entry;
	long pid, least = 0;
	DIR *dir = opendir("/proc");

	dst[0] = '\0';
	while (dir && count && (entry = readdir(dir)) != NULL) {
		pid = strtol(entry->d_name, NULL, 10);
		if (pid > 0 && (!least || pid < least) && has_socket(dirfd(dir), entry->d_name, inode, count))
			least = pid;
	}
	if (dir)
		closedir(dir);
	if (least)
		write_process(least, dst, size);
}

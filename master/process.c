/*
 * Other processes, by their ids.
 */
#include "master/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool process_ended(uint32_t pid)
{
	char path[64], text[512];
	const char *state;
	ssize_t n;
	int fd;

	if (pid == 0)
		return true;
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	state = strrchr(text, ')');
	return n <= 0 || !state || state[1] != ' ' || state[2] == 'Z' || state[2] == 'X';
}

/*
 * Titles of processes. See title.h.
 *
 * The kernel shows as the command line what lies between two addresses that it noted at execve(), which are those of argv's strings. Here it is told of a page of our own
 * instead (PR_SET_MM_MAP, which takes no privilege). setproctitle() of libbsd writes over argv and environ, as BSDs do: for a title as long as ours there is room only if
 * the environment is long enough, and it is gone from /proc/PID/environ then, by which those who watch a machine find what belongs together.
 *
 * The page's last byte is not 0. By that the kernel knows that this is a title, which ends with its first 0; else it would show the whole page.
 */
#include "shm/title.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Fields of /proc/PID/stat, numbered as proc(5) does. */
enum { START_CODE = 26, END_CODE, START_STACK, START_DATA = 45, END_DATA, START_BRK, ARG_START, ARG_END, ENV_START, ENV_END, FIELDS };

/* What the kernel has noted of this process, as all of it must be told when some of it changes. */
static bool read_map(struct prctl_mm_map *map)
{
	unsigned long long field[FIELDS] = { 0 };
	int n = 3, fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t len;
	char text[2048], *at;

	if (fd < 0)
		return false;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	at = strrchr(text, ')');		/* behind the name, which may have blanks */
	for (at = at ? at + 1 : NULL; at && n < FIELDS; n++) {
		at = strchr(at, ' ');
		if (at)
			field[n] = strtoull(++at, NULL, 10);
	}
	*map = (struct prctl_mm_map){
		.start_code = field[START_CODE], .end_code = field[END_CODE], .start_data = field[START_DATA], .end_data = field[END_DATA],
		.start_brk = field[START_BRK], .brk = (uintptr_t)sbrk(0), .start_stack = field[START_STACK], .arg_start = field[ARG_START],
		.arg_end = field[ARG_END], .env_start = field[ENV_START], .env_end = field[ENV_END], .exe_fd = (uint32_t)-1,
	};
	return at && field[START_CODE] && field[ENV_END];
}

/* The page, once the kernel knows of it; NULL: it does not take it. */
static char *open_page(void)
{
	struct prctl_mm_map map;
	/* (Anonymous: of no other page would the kernel look at the last byte.) */
	char *page = mmap(NULL, TITLE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	page[TITLE_MAX - 1] = 1;
	if (read_map(&map)) {
		map.arg_start = (uintptr_t)page;
		map.arg_end = (uintptr_t)page + TITLE_MAX;
		if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) == 0)
			return page;
	}
	munmap(page, TITLE_MAX);
	return NULL;
}

void title_set(const char *format, ...)
{
	static char *page;
	static bool tried;
	char text[TITLE_MAX - 1];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0)
		return;
	if (!tried)
		page = open_page();
	tried = true;
	if (page)
		memcpy(page, text, strlen(text) + 1);
}

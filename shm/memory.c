/*
 * Memory limits of control groups. A group's limit counts for all groups within it, so the way up to the root is looked through. In a
 * container the root that is mounted may be a group itself, and the path that /proc names may not be there: then what is mounted is looked at.
 */
#include "shm/memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void take_less(uint64_t *least, const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long long n;

	/* ("max" is no number.) */
	if (f && fscanf(f, "%llu", &n) == 1 && n > 0 && n < *least)
		*least = n;
	if (f)
		fclose(f);
}

/* From `group` upwards. */
static void look_up(uint64_t *least, const char *root, char *group, const char *file)
{
	char path[2 * PATH_MAX];

	for (;;) {
		char *slash = strrchr(group, '/');

		snprintf(path, sizeof(path), "%s%s/%s", root, group, file);
		take_less(least, path);
		if (!slash)
			return;
		*slash = '\0';
	}
}

static bool has_word(const char *list, size_t len, const char *word)
{
	for (const char *p = list; p < list + len; p += strcspn(p, ",:") + 1)
		if (strcspn(p, ",:") == strlen(word) && strncmp(p, word, strlen(word)) == 0)
			return true;
	return false;
}

uint64_t memory_of_groups(const char *file, const char *mount)
{
	FILE *f = fopen(file, "re");
	uint64_t least = UINT64_MAX;
	char line[PATH_MAX], root[PATH_MAX];

	/* HIERARCHY:CONTROLLERS:/GROUP; without controllers it is v2. */
	while (f && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!group)
			continue;
		controllers++;
		group++;
		group[strcspn(group, "\n")] = '\0';
		if (group == controllers + 1) {
			look_up(&least, mount, group, "memory.max");
		} else if (has_word(controllers, (size_t)(group - 1 - controllers), "memory")) {
			snprintf(root, sizeof(root), "%s/memory", mount);
			look_up(&least, root, group, "memory.limit_in_bytes");
		}
	}
	if (f)
		fclose(f);
	return least;
}

uint64_t memory_there_is(void)
{
	uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t limit = memory_of_groups("/proc/self/cgroup", "/sys/fs/cgroup");

	return limit < all ? limit : all;
}

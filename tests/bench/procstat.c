/*
 * CPU time: /proc/PID/stat has it in ticks of 10 ms, too coarse for one fan-out, so the nanoseconds of /proc/PID/task/T/schedstat
 * are used where they are not behind it (they leave out threads that have ended). A worker that dies takes nothing out of
 * the sum: its parent then has it under children.
 */
#include "tests/bench/procstat.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/clock.h"

struct process {
	pid_t pid, parent;
	char name[32];
	uint64_t own, children;		/* ns */
	bool chosen;
};

static ssize_t slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	return n;
}

/* pid (name) state ppid ... with utime, stime, cutime, cstime as fields 14 to 17. The name may hold anything. */
static int read_stat(pid_t pid, struct process *p)
{
	char path[64], buf[1024], *open, *close;
	unsigned long utime, stime;
	long cutime, cstime;
	uint64_t tick = CLOCK_S / (uint64_t)sysconf(_SC_CLK_TCK);

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (slurp(path, buf, sizeof(buf)) <= 0)
		return -1;
	open = strchr(buf, '(');
	close = strrchr(buf, ')');
	if (!open || !close)
		return -1;
	*p = (struct process){ .pid = pid };
	snprintf(p->name, sizeof(p->name), "%.*s", (int)(close - open - 1), open + 1);
	if (sscanf(close + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &p->parent, &utime, &stime, &cutime,
		   &cstime) != 5)
		return -1;
	p->own = (utime + stime) * tick;
	p->children = (uint64_t)(cutime + cstime) * tick;
	return 0;
}

static uint64_t read_schedstat(pid_t pid)
{
	char path[96], buf[128];
	struct dirent *e;
	uint64_t sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", pid, e->d_name);
		if (e->d_name[0] != '.' && slurp(path, buf, sizeof(buf)) > 0)
			sum += strtoull(buf, NULL, 10);
	}
	closedir(dir);
	return sum;
}

static void read_memory(pid_t pid, struct procstat *sum)
{
	char path[64], line[128];
	unsigned long kb;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %lu kB", &kb) == 1)
			sum->pss += kb << 10;
	fclose(f);
}

static struct process *list(size_t *count)
{
	struct process *all = NULL, *more;
	struct dirent *e;
	size_t max = 0;
	DIR *dir = opendir("/proc");

	*count = 0;
	while (dir && (e = readdir(dir))) {
		pid_t pid = (pid_t)atoi(e->d_name);

		if (pid <= 0)
			continue;
		if (*count == max) {
			max = max ? 2 * max : 256;
			more = realloc(all, max * sizeof(*all));
			if (!more)
				break;
			all = more;
		}
		*count += read_stat(pid, &all[*count]) == 0;
	}
	if (dir)
		closedir(dir);
	return all;
}

static void choose_by_name(struct process *all, size_t count, const char *name)
{
	char self[32] = "";
	size_t len = strlen(name);

	for (size_t i = 0; i < count; i++)
		if (all[i].pid == getpid())
			memcpy(self, all[i].name, sizeof(self));
	for (size_t i = 0; i < count; i++)
		all[i].chosen = !strncmp(all[i].name, name, len) && strcmp(all[i].name, self);
}

/* Those that were the server's when it was last looked: they are still, if the process that they descend from has died, and they have another parent now. */
static pid_t chosen_before[1024];
static size_t chosen_count;

static bool was_chosen(pid_t pid)
{
	for (size_t i = 0; i < chosen_count; i++)
		if (chosen_before[i] == pid)
			return true;
	return false;
}

static void note_chosen(const struct process *all, size_t count)
{
	chosen_count = 0;
	for (size_t i = 0; i < count && chosen_count < sizeof(chosen_before) / sizeof(chosen_before[0]); i++)
		if (all[i].chosen)
			chosen_before[chosen_count++] = all[i].pid;
}

static void choose_by_pid(struct process *all, size_t count, pid_t pid)
{
	bool changed = true;

	for (size_t i = 0; i < count; i++)
		all[i].chosen = all[i].pid == pid || was_chosen(all[i].pid);
	while (changed) {
		changed = false;
		for (size_t i = 0; i < count; i++)
			for (size_t j = 0; j < count && !all[i].chosen; j++)
				if (all[j].chosen && all[j].pid == all[i].parent)
					all[i].chosen = changed = true;
	}
	note_chosen(all, count);
}

int procstat_read(const struct options *opt, bool memory, struct procstat *sum)
{
	size_t count;
	struct process *all = list(&count);

	*sum = (struct procstat){ 0 };
	if (opt->server_pid)
		choose_by_pid(all, count, (pid_t)opt->server_pid);
	else
		choose_by_name(all, count, opt->server_name);
	for (size_t i = 0; i < count; i++) {
		uint64_t fine;

		if (!all[i].chosen)
			continue;
		fine = read_schedstat(all[i].pid);
		sum->processes++;
		sum->cpu += (fine > all[i].own ? fine : all[i].own) + all[i].children;
		if (memory)
			read_memory(all[i].pid, sum);
	}
	free(all);
	return sum->processes ? 0 : -1;
}

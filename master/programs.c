/*
 * Programs that root believes in. See programs.h.
 *
 *   DEVICE INODE BIRTH\n      the last one first, NOTED at most; BIRTH in nanoseconds since 1970, 0 where the file system does not know
 */
#include "master/programs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/program.h"
#include "shm/log.h"
#include "shm/settings.h"

#define NOTED 16		/* what was here before so many others may be forgotten: it is the next master's only if none of these was rolled out whole */
#define NAME "/programs"
#define NEW ".new"

struct noted {
	uint64_t device, inode, born;
};

static bool look(int fd, struct noted *n)
{
	struct statx st;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) < 0)
		return false;
	n->device = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	n->inode = st.stx_ino;
	n->born = st.stx_mask & STATX_BTIME ? (uint64_t)st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec : 0;
	return true;
}

static bool is_same(const struct noted *a, const struct noted *b)
{
	return a->device == b->device && a->inode == b->inode && a->born == b->born;
}

static bool look_at_own(struct noted *n)
{
	int fd = program_running();
	bool there = look(fd, n);

	if (fd >= 0)
		close(fd);
	return there;
}

/* How many there are. One that anybody but root could have written says nothing. */
static unsigned read_all(const char *runtime_dir, struct noted *all)
{
	char name[SETTINGS_TEXT_MAX + sizeof(NAME)];
	struct stat st;
	unsigned n = 0;
	FILE *file;
	int fd;

	snprintf(name, sizeof(name), "%s" NAME, runtime_dir);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || !(file = fdopen(fd, "r"))) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH)))
		while (n < NOTED && fscanf(file, "%" SCNu64 " %" SCNu64 " %" SCNu64, &all[n].device, &all[n].inode, &all[n].born) == 3)
			n++;
	fclose(file);
	return n;
}

static bool has(const struct noted *all, unsigned count, const struct noted *wanted)
{
	for (unsigned i = 0; i < count; i++)
		if (is_same(&all[i], wanted))
			return true;
	return false;
}

static int write_all(const char *runtime_dir, const struct noted *all, unsigned count)
{
	char name[SETTINGS_TEXT_MAX + sizeof(NAME)], new[SETTINGS_TEXT_MAX + sizeof(NAME NEW)];
	FILE *file;
	int r = 0;

	snprintf(name, sizeof(name), "%s" NAME, runtime_dir);
	snprintf(new, sizeof(new), "%s" NAME NEW, runtime_dir);
	file = fopen(new, "we");
	if (!file)
		return -1;
	for (unsigned i = 0; i < count; i++)
		if (fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", all[i].device, all[i].inode, all[i].born) < 0)
			r = -1;
	r |= fchmod(fileno(file), 0600);
	r |= fclose(file);
	return r == 0 ? rename(new, name) : -1;
}

void programs_note(const char *runtime_dir)
{
	struct noted all[NOTED + 1];
	unsigned count;

	if (geteuid() != 0 || !look_at_own(&all[0]))
		return;
	count = read_all(runtime_dir, all + 1);
	if (has(all + 1, count, &all[0]))
		return;
	if (write_all(runtime_dir, all, count < NOTED ? count + 1 : NOTED) < 0)
		log_warning("%s" NAME ": %m; if this master dies, another program than this one can't take over what is there", runtime_dir);
}

bool programs_has(const char *runtime_dir, int program)
{
	struct noted all[NOTED + 1], wanted;
	unsigned own = look_at_own(&all[0]);

	return look(program, &wanted) && has(all, own + read_all(runtime_dir, all + own), &wanted);
}

void programs_forget(const char *runtime_dir)
{
	char name[SETTINGS_TEXT_MAX + sizeof(NAME)];

	snprintf(name, sizeof(name), "%s" NAME, runtime_dir);
	unlink(name);
}

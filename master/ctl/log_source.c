/*
 * Where the log is read: the server's hub segment. Once it is mapped nobody is asked anything, as long as it shows signs of life.
 *
 * A hub that is not the server's any more (it was started anew, or upgraded to another layout) shows none. Then the server is asked for its hub: if it is the same
 * one, all its workers are stopped or hang, and it is asked again, ever less often.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "master/ctl/log.h"

#define STILL_MS 1500			/* without a sign of life, which come ten times a second */
#define PAUSE_MS 1000			/* between two questions, at first */
#define PAUSE_MAX_MS 16000

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void unmap(struct log_source *s)
{
	events_unmap(&s->map);
	if (s->hub.shm)
		hub_detach(&s->hub);
	s->inode = 0;
}

/* Maps it, and begins with the oldest events, and with messages to come. 0, or the status. */
static int map(struct log_source *s, int fd, uint64_t inode)
{
	unmap(s);
	if (events_map(&s->map, fd) < 0 || (s->with_messages && hub_attach(&s->hub, fd, false) < 0)) {
		fprintf(stderr, "janusctl: cannot read the hub segment: %s\n",
			errno == EPROTO ? "it is another version's; use the server's own janusctl" : strerror(errno));
		unmap(s);
		return EXIT_REFUSED;
	}
	for (unsigned i = 0; i < EVENT_RINGS; i++)
		s->next[i] = events_oldest(&s->map.events, i);
	if (s->with_messages)
		s->next_message = ring_tail(&s->hub.ring);
	s->inode = inode;
	s->beat = events_newest_beat(&s->map.events);
	s->beat_at = now_ms();
	s->pause = PAUSE_MS;
	s->ask_at = 0;
	return 0;
}

static int ask(const struct ctl_arguments *args, bool quiet, int *fd, uint64_t *inode)
{
	struct stat st;
	int rc = ctl_ask(args, quiet, CONTROL_HUB, NULL, fd);

	if (rc)
		return rc;
	if (*fd < 0 || fstat(*fd, &st) < 0) {
		fprintf(stderr, "janusctl: the server's answer came without the hub segment\n");
		if (*fd >= 0)
			close(*fd);
		return EXIT_REFUSED;
	}
	*inode = (uint64_t)st.st_ino;
	return 0;
}

int log_source_open(struct log_source *s, const struct ctl_arguments *args, bool with_messages)
{
	uint64_t inode;
	int fd, rc;

	*s = (struct log_source){ .args = args, .with_messages = with_messages };
	rc = ask(args, false, &fd, &inode);
	if (rc)
		return rc;
	rc = map(s, fd, inode);
	close(fd);
	return rc;
}

void log_source_close(struct log_source *s)
{
	unmap(s);
}

static void ask_later(struct log_source *s, uint64_t now)
{
	s->ask_at = now + s->pause;
	if (s->pause < PAUSE_MAX_MS && !s->told_gone)
		s->pause *= 2;
}

static bool is_still(struct log_source *s, uint64_t now)
{
	uint64_t beat = events_newest_beat(&s->map.events);

	if (beat != s->beat) {
		s->beat = beat;
		s->beat_at = now;
		s->ask_at = 0;
		s->pause = PAUSE_MS;
		return false;
	}
	return now - s->beat_at >= STILL_MS;
}

int log_source_check(struct log_source *s)
{
	uint64_t now = now_ms(), inode;
	int fd, rc;

	if ((s->inode && !is_still(s, now)) || now < s->ask_at)
		return 0;
	rc = ask(s->args, true, &fd, &inode);
	now = now_ms();
	if (rc) {
		if (rc == EXIT_NO_SERVER && !s->told_gone)
			fprintf(stderr, "janusctl: the server has ended; waiting for the next one\n");
		s->told_gone |= rc == EXIT_NO_SERVER;
		s->pause = PAUSE_MS;
		ask_later(s, now);
		return 0;
	}
	s->told_gone = false;
	if (inode == s->inode) {
		ask_later(s, now);
		close(fd);
		return 0;
	}
	rc = map(s, fd, inode);
	close(fd);
	return rc ? -1 : 1;
}

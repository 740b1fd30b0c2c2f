/*
 * janus-jwks, as the master sees it: a child that fetches keys of tokens, and says so by a pipe. What it says is checked here again, and becomes the workers' by a
 * segment that they share (shm/fetched_keys.h). It can be killed at any time, and made again; the keys stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/master.h"
#include "master/notify.h"
#include "master/privileges.h"
#include "master/program.h"
#include "proto/jwt_keys.h"
#include "shm/fetched_keys.h"
#include "shm/log.h"

#define NAME "janus-jwks"
#define HEAD 4			/* bytes of a length, ahead of keys */

static bool is_on(const struct master *m)
{
	return m->h.settings.token_jwks_url[0] && m->jwks.shm;
}

/* ---- the child ---- */

static __attribute__((noreturn)) void child(const struct master *m, int out)
{
	char path[PROGRAM_PATH_MAX], interval[32];
	char *argv[] = { (char *)(uintptr_t)NAME, (char *)(uintptr_t)m->h.settings.token_jwks_url, interval, NULL };
	sigset_t none;

	(void)!program_helper(path, m->h.program, NAME);
	snprintf(interval, sizeof(interval), "%lld", (long long)m->h.settings.token_jwks_interval);
	notify_disinherit();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(out, STDOUT_FILENO) < 0 || privileges_drop(m->h.settings.user) < 0)
		_exit(1);
	/* (Who becomes another user is not told of its parent's death any more: so behind that.) */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != (pid_t)m->h.master)
		_exit(1);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	execv(path, argv);
	log_error("%s: %s; token_jwks_url is not fetched", path, strerror(errno));
	_exit(1);
}

static int make(struct master *m)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_error(NAME ": %m");
		return -1;
	}
	pid = fork();
	if (pid == 0)
		child(m, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		log_error(NAME ": %m");
		close(ends[0]);
		return -1;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	m->jwks.pid = pid;
	m->jwks.len = 0;
	ev_io_set(&m->jwks.io, ends[0], EV_READ);
	ev_io_start(m->loop, &m->jwks.io);
	return 0;
}

static void make_later(struct master *m)
{
	m->jwks.timer.repeat = restarts_pause(&m->jwks.restarts) / 1000.0;
	ev_timer_again(m->loop, &m->jwks.timer);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);

	(void)events;
	ev_timer_stop(loop, t);
	if (!m->jwks.pid && !m->stopping && make(m) < 0)
		make_later(m);
}

/* ---- what it says ---- */

static void stop_listening(struct master *m)
{
	if (!ev_is_active(&m->jwks.io))
		return;
	ev_io_stop(m->loop, &m->jwks.io);
	close(m->jwks.io.fd);
}

/* Only public keys, and no more than a set may have. (For those there is room beside the keys of files, however many these are.) */
static bool is_good(const uint8_t *bytes, size_t len)
{
	struct jwt_keys *keys = jwt_keys_create();
	bool good = keys && jwt_keys_unpack(keys, bytes, len) == 0 && !jwt_keys_has_secret(keys);

	if (good && jwt_keys_count(keys) > 0)
		log_info("token_jwks_url: %u keys", jwt_keys_count(keys));
	else if (good)
		log_warning("token_jwks_url: the set has no key for tokens: tokens of keys that it had before are refused from now on");
	jwt_keys_destroy(keys);
	return good;
}

/* Takes the keys that have come whole. -1: it says nonsense. */
static int take(struct master *m)
{
	uint8_t *p = m->jwks.bytes;
	size_t len;

	while (m->jwks.len >= HEAD) {
		len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
		if (len > FETCHED_KEYS_MAX)
			return -1;
		if (m->jwks.len < HEAD + len)
			break;
		if (len == 0) {
			hub_count(&m->hub, 0, COUNTER_jwks_failed, 1);
		} else {
			if (!is_good(p + HEAD, len))
				return -1;
			fetched_keys_write(m->jwks.shm, m->h.settings.token_jwks_url, p + HEAD, len);
			restarts_ready(&m->jwks.restarts);
		}
		m->jwks.len -= HEAD + len;
		memmove(p, p + HEAD + len, m->jwks.len);
	}
	return 0;
}

static void on_pipe(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct master *m = ev_userdata(loop);
	ssize_t n = read(io->fd, m->jwks.bytes + m->jwks.len, HEAD + FETCHED_KEYS_MAX - m->jwks.len);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	m->jwks.len += n > 0 ? (size_t)n : 0;
	if (n > 0 && take(m) == 0)
		return;
	if (n > 0 && m->jwks.pid) {
		log_error(NAME " says what it must not: killed");
		kill(m->jwks.pid, SIGKILL);
	}
	stop_listening(m);
}

/* ---- its life ---- */

void jwks_watch(struct master *m)
{
	const char *url = m->h.settings.token_jwks_url;

	ev_init(&m->jwks.io, on_pipe);
	ev_timer_init(&m->jwks.timer, on_timer, 1, 1);
	if (!*url)
		return;
	if (m->h.fetched < 0) {
		log_warning("token_jwks_url is fetched after a restart: the server was started by a version that did not know it");
		return;
	}
	m->jwks.bytes = malloc(HEAD + FETCHED_KEYS_MAX);
	m->jwks.shm = m->jwks.bytes ? fetched_keys_map(m->h.fetched, true) : NULL;
	if (!m->jwks.shm) {
		log_error("token_jwks_url: %m");
		return;
	}
	if (!fetched_keys_from(m->jwks.shm, url))
		fetched_keys_write(m->jwks.shm, url, "", 0);
	if (make(m) < 0)
		make_later(m);
}

bool jwks_reap(struct master *m, pid_t pid, int status)
{
	if (!m->jwks.pid || m->jwks.pid != pid)
		return false;
	m->jwks.pid = 0;
	if (m->stopping)
		return true;
	if (WIFSIGNALED(status))
		log_warning(NAME " %d died of signal %d (%s); another one goes on", (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_warning(NAME " %d ended with status %d; another one goes on", (int)pid, WEXITSTATUS(status));
	/* (What it has said before is in the pipe.) */
	if (ev_is_active(&m->jwks.io))
		on_pipe(m->loop, &m->jwks.io, EV_READ);
	stop_listening(m);
	if (is_on(m))
		make_later(m);
	return true;
}

void jwks_end(struct master *m)
{
	if (m->jwks.pid)
		kill(m->jwks.pid, SIGKILL);
	stop_listening(m);
	ev_timer_stop(m->loop, &m->jwks.timer);
}

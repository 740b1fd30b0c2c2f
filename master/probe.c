/*
 * Can that program take over? See probe.h.
 */
#include "master/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/notify.h"
#include "master/program.h"
#include "proto/msgpack_walk.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "shm/snapshot.h"

#define PATIENCE_MS 10000
#define ANSWER_MAX 4096
#define WHY_MAX 300

static __attribute__((format(printf, 2, 3))) int refuse(const struct handover *h, const char *format, ...);

/* ---- who asks ---- */

/* The child: never returns. */
static __attribute__((noreturn)) void ask_child(const struct master *m, int program, int handover)
{
	sigset_t none;

	notify_disinherit();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* It has the listen sockets open, but no lock by which another server would know: it must not outlive the master. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if ((uint32_t)getppid() != m->h.master)
		_exit(127);
	fcntl(m->next.answer, F_SETFD, 0);
	program_become(program, m->argv, "--probe", handover);
	_exit(refuse(&m->next, "it can't be executed: %s", program_error(errno)));
}

/* False: it did not end in time, and was killed. */
static bool wait_for(pid_t pid, int *status)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	bool ended = p.fd >= 0 && poll(&p, 1, PATIENCE_MS) > 0;

	if (!ended)
		kill(pid, SIGKILL);
	if (p.fd >= 0)
		close(p.fd);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return ended;
}

/* Reads the answer: PROBE_, and why[]; -1 if what was written is no answer of a Janus. */
static int read_answer(int fd, uint64_t nonce, char why[WHY_MAX])
{
	uint8_t bytes[ANSWER_MAX];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	const uint8_t *at = bytes;
	struct msgpack_value map, value;
	int answer;

	if (n <= 0 || !msgpack_walk_take(&at, bytes + n, &map))
		return -1;
	if (!msgpack_walk_find(&map, "nonce", &value) || value.kind != WALK_UINT || value.u != nonce)
		return -1;
	if (!msgpack_walk_find(&map, "answer", &value) || value.kind != WALK_UINT)
		return -1;
	answer = (int)value.u;
	if (msgpack_walk_find(&map, "why", &value) && value.kind == WALK_STR)
		snprintf(why, WHY_MAX, "%.*s", (int)value.len, (const char *)value.p);
	return answer;
}

/* What the process said, and how it ended. */
static int judge(const struct master *m, int status, int from, char error[CONFIG_ERROR_MAX])
{
	const char *program = m->h.program;
	char why[WHY_MAX] = "it does not say why";
	int answer = read_answer(from, m->next.nonce, why);

	if (WIFEXITED(status) && answer == WEXITSTATUS(status) && (answer == PROBE_YES || answer == PROBE_SNAPSHOT))
		return answer;
	if (WIFSIGNALED(status))
		snprintf(error, CONFIG_ERROR_MAX, "%.256s dies at start (signal %d); the old program goes on", program, WTERMSIG(status));
	else if (answer == PROBE_NO)
		snprintf(error, CONFIG_ERROR_MAX, "%.256s can't take over: %s; the old program goes on", program, why);
	else
		snprintf(error, CONFIG_ERROR_MAX, "%.256s is no janus that can take over (it ends with status %d); the old program goes on", program,
			 WEXITSTATUS(status));
	return PROBE_NO;
}

static int fail(char *error, const char *what)
{
	snprintf(error, CONFIG_ERROR_MAX, "%s: %s; the old program goes on", what, strerror(errno));
	return PROBE_NO;
}

/* With the pipe there. */
static int ask(struct master *m, int program, int from, char error[CONFIG_ERROR_MAX])
{
	int handover, status = 0;
	pid_t pid;

	if (getrandom(&m->next.nonce, sizeof(m->next.nonce), 0) != sizeof(m->next.nonce))
		return fail(error, "random number");
	m->next.nonce >>= 1;		/* so that it fits into a signed number */
	handover = handover_write(&m->next);
	if (handover < 0)
		return fail(error, "handover state");
	pid = fork();
	if (pid == 0)
		ask_child(m, program, handover);
	close(handover);
	if (pid < 0)
		return fail(error, "fork");
	if (!wait_for(pid, &status)) {
		snprintf(error, CONFIG_ERROR_MAX, "%.256s does not answer within %d s; the old program goes on", m->h.program, PATIENCE_MS / 1000);
		return PROBE_NO;
	}
	return judge(m, status, from, error);
}

int probe_ask(struct master *m, int program, char error[CONFIG_ERROR_MAX])
{
	int ends[2], answer;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail(error, "pipe");
	m->next.answer = ends[1];
	answer = ask(m, program, ends[0], error);
	m->next.answer = -1;
	close(ends[0]);
	close(ends[1]);
	return answer;
}

/* ---- who answers ---- */

static void put_key(msgpack_packer *p, const char *key)
{
	msgpack_pack_str_with_body(p, key, strlen(key));
}

static int answer(const struct handover *h, int answer, const char *why)
{
	msgpack_sbuffer buffer;
	msgpack_packer p;
	bool failed;

	if (answer == PROBE_NO)
		log_error("%s", why);
	if (h->answer < 0)
		return answer;
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&p, &buffer, msgpack_sbuffer_write);
	msgpack_pack_map(&p, 4);
	put_key(&p, "janus");
	put_key(&p, JANUS_VERSION);
	put_key(&p, "nonce");
	msgpack_pack_uint64(&p, h->nonce);
	put_key(&p, "answer");
	msgpack_pack_int(&p, answer);
	put_key(&p, "why");
	put_key(&p, why);
	failed = write(h->answer, buffer.data, buffer.size) != (ssize_t)buffer.size;
	msgpack_sbuffer_destroy(&buffer);
	return failed ? PROBE_NO : answer;
}

__attribute__((format(printf, 2, 3))) static int refuse(const struct handover *h, const char *format, ...)
{
	char why[WHY_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return answer(h, PROBE_NO, why);
}

/* All workers have left, and the hub's snapshot is there: does it go into a hub of ours? */
static int probe_snapshot(const struct handover *h)
{
	struct hub hub;
	int fd = hub_create(&h->settings);

	CRASH_ALWAYS("probe-snapshot-abort");
	if (fd >= 0 && hub_attach(&hub, fd, true) == 0 && snapshot_read_hub(&hub, h->snapshot) == 0)
		return answer(h, PROBE_YES, "");
	return refuse(h, "snapshot of the hub: %s", strerror(errno));
}

int probe_main(const struct config_source *source, int handover)
{
	static struct handover h;
	static struct config config;
	char error[CONFIG_ERROR_MAX];
	struct hub hub;

	log_init("probe", LOG_LEVEL_INFO);
	CRASH_ALWAYS("probe-abort");
	if (handover_read(&h, handover) < 0) {
		log_error("the handover state can't be read");
		return PROBE_NO;
	}
	if (config_read(&config, source, error) < 0)
		return refuse(&h, "%.250s", error);
	if (h.snapshot >= 0)
		return probe_snapshot(&h);
	if (h.layout != HUB_LAYOUT) {
		if (h.snapshot_version && h.snapshot_version <= SNAPSHOT_VERSION)
			return answer(&h, PROBE_SNAPSHOT, "");
		return refuse(&h, "the running server's shared memory has layout %u, this program's has %d, and it can't read snapshots of version %u",
			      h.layout, HUB_LAYOUT, h.snapshot_version);
	}
	if (hub_attach(&hub, h.hub, false) < 0)
		return refuse(&h, "hub segment: %s", strerror(errno));
	hub_detach(&hub);
	return answer(&h, PROBE_YES, "");
}

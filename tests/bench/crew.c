#include "tests/bench/crew.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/histogram.h"

#define QUIT_MS 1000

static uint32_t members(const struct options *opt)
{
	return opt->processes + 1 + (opt->churn > 0);
}

static size_t line(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

/* Pages nobody touches cost nothing, so the mapping may well be larger than what is used. */
static struct bench_shm *map(const struct options *opt)
{
	size_t messages = (size_t)opt->topics * opt->messages * sizeof(uint64_t), topics = (size_t)opt->nodes * opt->topics * sizeof(uint64_t);
	size_t exact_each = opt->messages == 1 ? (opt->subscribers / opt->processes + 1) * (size_t)opt->rounds : 0;
	size_t at_member = line(sizeof(struct bench_shm)), at_sent = at_member + members(opt) * sizeof(struct member_shm);
	size_t at_last = line(at_sent + messages), at_hash = line(at_last + opt->transports * messages), at_exact = line(at_hash + topics);
	size_t size = at_exact + opt->processes * exact_each * sizeof(uint64_t);
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct bench_shm *shm = (struct bench_shm *)p;

	if (p == MAP_FAILED)
		return NULL;
	shm->members = members(opt);
	shm->member = (struct member_shm *)(p + at_member);
	shm->sent = (_Atomic uint64_t *)(p + at_sent);
	shm->last = (_Atomic uint64_t *)(p + at_last);
	shm->order_hash = (_Atomic uint64_t *)(p + at_hash);
	for (uint32_t i = 0; i < shm->members; i++) {
		histogram_init(&shm->member[i].latency);
		histogram_init(&shm->member[i].waits);
		histogram_init(&shm->member[i].reconnects.answered);
		if (i < opt->processes) {
			shm->member[i].exact = (uint64_t *)(p + at_exact) + i * exact_each;
			shm->member[i].exact_max = exact_each;
		}
	}
	if (getrandom(&shm->run, sizeof(shm->run), 0) != sizeof(shm->run))
		shm->run = (uint32_t)clock_now();
	shm->base = clock_now();
	return shm;
}

struct crew *crew_create(const struct options *opt)
{
	struct crew *crew = calloc(1, sizeof(*crew));
	sigset_t set;

	if (!crew)
		return NULL;
	crew->opt = opt;
	crew->pid = calloc(members(opt), sizeof(*crew->pid));
	crew->wake = calloc(members(opt), sizeof(*crew->wake));
	crew->shm = map(opt);
	if (!crew->pid || !crew->wake || !crew->shm)
		return NULL;	/* the program ends */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	crew->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	crew->news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return crew->signals < 0 || crew->news < 0 ? NULL : crew;
}

void crew_destroy(struct crew *crew)
{
	if (!crew)
		return;
	free(crew->pid);
	free(crew->wake);
	free(crew);
}

/* SIGINT goes to the whole terminal's group: the coordinator alone decides what it means. */
static void child(struct crew *crew, member_fn *fn, uint32_t number, pid_t parent)
{
	struct member m = { .opt = crew->opt, .shm = crew->shm, .me = &crew->shm->member[number], .number = number,
		.wake = crew->wake[number], .news = crew->news };
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(3);
	close(crew->signals);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	_exit(fn(&m));
}

int crew_start(struct crew *crew, member_fn *fn)
{
	uint32_t number = crew->started;
	pid_t parent = getpid();

	crew->wake[number] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (crew->wake[number] < 0)
		return -1;
	crew->pid[number] = fork();
	if (crew->pid[number] < 0)
		return -1;
	if (crew->pid[number] == 0)
		child(crew, fn, number, parent);
	crew->started++;
	return 0;
}

void crew_order(struct crew *crew, enum order order)
{
	uint64_t one = 1;

	/* release: pairs with the acquire in member_order() */
	atomic_store_explicit(&crew->shm->order, ++crew->serial << 8 | (uint32_t)order, memory_order_release);
	for (uint32_t i = 0; i < crew->started; i++)
		if (write(crew->wake[i], &one, sizeof(one)) < 0 && errno != EAGAIN)
			abort();
}

static enum crew_state crew_done(const struct crew *crew)
{
	uint32_t word = atomic_load_explicit(&crew->shm->order, memory_order_relaxed);

	for (uint32_t i = 0; i < crew->started; i++)
		/* acquire: pairs with the release in member_done() */
		if (crew->pid[i] && atomic_load_explicit(&crew->shm->member[i].done, memory_order_acquire) != word)
			return CREW_WAITING;
	return CREW_DONE;
}

static int reap(struct crew *crew)
{
	int ended = 0;

	for (uint32_t i = 0; i < crew->started; i++)
		if (crew->pid[i] && waitpid(crew->pid[i], NULL, WNOHANG) == crew->pid[i]) {
			crew->pid[i] = 0;
			ended++;
		}
	return ended;
}

enum crew_state crew_wait(struct crew *crew, int ms)
{
	struct pollfd fds[2] = { { .fd = crew->news, .events = POLLIN }, { .fd = crew->signals, .events = POLLIN } };
	struct signalfd_siginfo info;
	enum crew_state state = CREW_WAITING;
	uint64_t ignored;

	if (crew_done(crew) == CREW_DONE && ms)
		ms = 0;
	if (poll(fds, 2, ms) < 0 && errno != EINTR)
		abort();
	if (read(crew->news, &ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
		abort();
	while (read(crew->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			return CREW_INTERRUPTED;
		if (reap(crew))
			state = CREW_DIED;
	}
	return state == CREW_DIED ? state : crew_done(crew);
}

static int left(const struct crew *crew)
{
	int n = 0;

	for (uint32_t i = 0; i < crew->started; i++)
		n += crew->pid[i] != 0;
	return n;
}

void crew_stop(struct crew *crew)
{
	struct pollfd fd = { .fd = crew->signals, .events = POLLIN };
	struct signalfd_siginfo info;
	uint64_t deadline = clock_now() + QUIT_MS * CLOCK_MS;

	crew_order(crew, ORDER_QUIT);
	for (reap(crew); left(crew) && clock_now() < deadline; reap(crew))
		if (poll(&fd, 1, 50) > 0)
			while (read(crew->signals, &info, sizeof(info)) == sizeof(info))
				;
	for (uint32_t i = 0; i < crew->started; i++)
		if (crew->pid[i]) {
			kill(crew->pid[i], SIGKILL);
			waitpid(crew->pid[i], NULL, 0);
			crew->pid[i] = 0;
		}
}

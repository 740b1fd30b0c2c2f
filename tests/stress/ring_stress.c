/*
 * ring_stress [SECONDS [KILLS [SEED]]]: producers that are killed at random moments, readers that believe nothing, and a keeper
 * that puts right what the dead left. Prints one line of totals; exits 1 on any fault.
 * ring_stress --every-instruction: see every_instruction.c.
 *
 * The ring is so small that it is overwritten all the time, the index so small that it is often full.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shm/segment.h"
#include "tests/stress/arena.h"

#define PRODUCERS 4
#define READERS 3
#define TOPICS 24
#define NAMES 36
#define BYTES (1u << 16)
#define DESCS 256
#define RECORD_MAX 900

struct arena {
	struct lock_shm lock;
	_Atomic uint32_t stop;
	_Atomic uint32_t faults;
	char fault[200];			/* the first */
	_Alignas(64) _Atomic uint64_t read;
	_Atomic uint64_t lost;
	_Atomic uint64_t seeks;
};

static struct arena *arena;
static struct index ix;
static struct ring ring;
static uint64_t rng;

static uint32_t chance(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 20) % n;
}

static void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void fault(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (atomic_fetch_add(&arena->faults, 1) == 0)
		vsnprintf(arena->fault, sizeof arena->fault, format, args);
	va_end(args);
	atomic_store(&arena->stop, 1);
}

static bool stopping(void)
{
	return atomic_load_explicit(&arena->stop, memory_order_relaxed) != 0;
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void nap(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

/* ---- producers ---- */

static void churn(unsigned slot)
{
	uint32_t topic = ix.shm->high ? 1 + chance(ix.shm->high) : 0;

	if (chance(4) == 0)
		join_name(&ix, slot, chance(NAMES));
	if (chance(5) == 0 && topic && in_use(&ix, topic) && atomic_load(&index_topic(&ix, topic)->interest) >> slot & 1)
		index_leave(&ix, slot, topic);
}

static void publish_some(void)
{
	uint32_t n = chance(12), topic, len, echoes;
	struct ring_batch b;
	uint8_t *p;

	ring_begin(&ring, &b);
	while (n-- && ix.shm->high) {
		topic = 1 + chance(chance(2) ? ix.shm->high : (ix.shm->high + 3) / 4);	/* some more than others */
		len = RECORD_MIN + chance(chance(4) ? 100 : RECORD_MAX - RECORD_MIN);
		if (!in_use(&ix, topic))
			continue;
		echoes = chance(3) && b.next - b.first < 8 ? 0 : chance(4);
		p = ring_add(&ring, &b, topic, len, echoes ? RING_ECHOED : 0, 0);
		if (!p)
			break;
		record_fill(p, b.next - 1, len, index_topic(&ix, topic), topic);
		for (; echoes > 0 && b.next - b.first < ring.shm->descs / 2; echoes--) {
			topic = 1 + chance(ix.shm->high);
			if (in_use(&ix, topic))
				ring_echo(&ring, &b, topic);
		}
	}
	ring_commit(&ring, &b);
}

static void produce(unsigned slot)
{
	while (!stopping()) {
		lock_acquire(&arena->lock, slot + 1);
		churn(slot);
		publish_some();
		lock_release(&arena->lock, slot + 1);
		if (chance(8) == 0)
			nap(chance(60));
	}
}

/* ---- readers ---- */

struct seen {
	uint32_t generation;
	uint64_t seq, number, losses;	/* its newest record, and how often we had lost something by then */
};

struct reader {
	uint64_t cursor, losses;
	struct seen seen[TOPICS + 1];
};

static void check_numbering(struct reader *rd, const struct ring_record *rec)
{
	struct seen *s = &rd->seen[rec->topic];
	bool same = s->generation == rec->generation, gapless = s->losses == rd->losses;

	if (rec->generation < s->generation)
		fault("record %lu: generation went back", rec->seq);
	if (gapless && rec->number != (same ? s->number + 1 : 1))
		fault("record %lu of topic %u has number %lu after %lu", rec->seq, rec->topic, rec->number, s->number);
	if (gapless && rec->prev != (same ? s->seq : 0))
		fault("record %lu of topic %u has prev %lu, not %lu", rec->seq, rec->topic, rec->prev, s->seq);
	if (same && (rec->number <= s->number || (rec->number == s->number + 1) != (rec->prev == s->seq)))
		fault("record %lu of topic %u: number %lu does not fit", rec->seq, rec->topic, rec->number);
	*s = (struct seen){ rec->generation, rec->seq, rec->number, rd->losses };
}

/* Seeks a topic from somewhere at or before a record that we have seen, with any hint: often with the record that is overwritten
 * next. */
static void check_seek(struct reader *rd)
{
	uint64_t below = ring_tail(&ring), from, hint;
	struct ring_record rec;
	bool brink = chance(2) && ring_read(&ring, ring_oldest(&ring), &rec) == 0;
	uint32_t topic = brink ? rec.topic : 1 + chance(TOPICS);
	struct seen *s = &rd->seen[topic];

	if (s->generation == 0)
		return;
	from = s->seq - chance(s->seq < DESCS ? (uint32_t)s->seq : DESCS);
	hint = chance(3) == 0 ? 0 : chance(2) ? s->seq : from - chance(from < 40 ? (uint32_t)from : 40);
	if (brink && rec.seq <= s->seq)
		from = hint = rec.seq;
	atomic_fetch_add_explicit(&arena->seeks, 1, memory_order_relaxed);
	if (ring_seek(&ring, topic, s->generation, from, below, hint, &rec) < 0) {
		uint64_t oldest = ring_oldest(&ring);

		/* acquire fence in ring_oldest(): the generation is read after the links were */
		if (s->seq >= oldest && __atomic_load_n(&index_topic(&ix, topic)->generation, __ATOMIC_RELAXED) == s->generation)
			fault("topic %u: nothing found from %lu below %lu (hint %lu), but %lu is there", topic, from, below, hint,
			      s->seq);
		return;
	}
	if (rec.topic != topic || rec.generation != s->generation || rec.seq < from || rec.seq >= below)
		fault("topic %u: found %lu from %lu below %lu", topic, rec.seq, from, below);
	if (rec.prev != 0 && rec.prev >= from && rec.prev >= ring_oldest(&ring))
		fault("topic %u: found %lu from %lu, but %lu is earlier", topic, rec.seq, from, rec.prev);
}

static bool read_one(struct reader *rd)
{
	uint8_t copy[RECORD_MAX];
	struct ring_record rec;
	uint64_t oldest;

	if (ring_read(&ring, rd->cursor, &rec) < 0 || ring_copy(&ring, &rec, copy) < 0) {
		oldest = ring_oldest(&ring);
		if (oldest <= rd->cursor) {
			fault("record %lu can't be read, but oldest is %lu", rd->cursor, oldest);
			return false;
		}
		atomic_fetch_add_explicit(&arena->lost, oldest - rd->cursor, memory_order_relaxed);
		rd->cursor = oldest;
		rd->losses++;
		return true;
	}
	if (!record_whole(copy, &rec)) {
		fault("record %lu is torn", rec.seq);
		return false;
	}
	check_numbering(rd, &rec);
	rd->cursor++;
	atomic_fetch_add_explicit(&arena->read, 1, memory_order_relaxed);
	return true;
}

/* A lazy reader naps now and then and is overtaken; an eager one mostly keeps up. */
static void follow(bool lazy)
{
	struct reader rd = { .cursor = 1 };
	bool last;

	do {
		last = stopping();
		/* oldest may be past the tail that was read before it */
		while (rd.cursor < ring_tail(&ring) && read_one(&rd) && !atomic_load(&arena->faults))
			if (chance(8) == 0)
				check_seek(&rd);
		if (lazy && chance(20) == 0)
			nap(chance(3000));
	} while (!last);
}

/* ---- keeper ---- */

static pid_t spawn(void (*run)(unsigned), unsigned n)
{
	uint64_t seed = rng + chance(1u << 30) * 77;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rng = seed | 1;
	run(n);
	_exit(0);
}

static void run_reader(unsigned n)
{
	follow(n != 0);
}

static void check_all(const char *when)
{
	const char *why;

	if (ring_check(&ring, &why) < 0)
		fault("ring, %s: %s", when, why);
	if (index_check(&ix, &why) < 0)
		fault("index, %s: %s", when, why);
}

/* Kills one and does what its keeper would. Was it holding the lock? */
static bool kill_producer(pid_t *pid, unsigned slot)
{
	bool held;
	int status;

	kill(*pid, SIGKILL);
	if (waitpid(*pid, &status, 0) != *pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fault("producer %u died of itself, status %x", slot, (unsigned)status);
	held = lock_owner(&arena->lock) == slot + 1;
	if (held) {
		ring_repair(&ring);
		index_repair(&ix);
		check_all("after a repair");
		lock_release(&arena->lock, slot + 1);
	}
	*pid = spawn(produce, slot);
	return held;
}

static void finish(const pid_t *pids, unsigned n)
{
	unsigned i;
	int status;

	for (i = 0; i < n; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fault("a process died of itself, status %x", (unsigned)status);
}

static int stress(double seconds, long kills_wanted)
{
	pid_t producers[PRODUCERS], readers[READERS];
	int64_t start = now_us(), end = start + (int64_t)(seconds * 1e6);
	uint32_t gap = kills_wanted > 0 ? (uint32_t)(seconds * 2e6 / (double)kills_wanted) + 1 : 0;
	long kills = 0, held = 0;
	struct reader walk = { 0 };
	unsigned i;

	for (i = 0; i < READERS; i++)
		readers[i] = spawn(run_reader, i);
	for (i = 0; i < PRODUCERS; i++)
		producers[i] = spawn(produce, i);
	/* a little longer, if no kill has met a holder of the lock yet */
	while (!stopping() && (now_us() < end || (kills > 100 && held == 0 && now_us() < end + 10000000))) {
		if (!gap) {
			nap(10000);
			continue;
		}
		nap(chance(gap));
		i = lock_owner(&arena->lock);	/* every other time whoever is in the midst of it */
		i = i && kills % 2 ? i - 1 : chance(PRODUCERS);
		held += kill_producer(&producers[i], i);
		kills++;
	}
	atomic_store(&arena->stop, 1);
	finish(producers, PRODUCERS);
	finish(readers, READERS);
	if (lock_owner(&arena->lock) != 0)
		fault("the lock is held by %u at the end", lock_owner(&arena->lock));
	check_all("at the end");
	walk.cursor = ring_oldest(&ring);
	walk.losses = 1;
	while (walk.cursor < ring_tail(&ring) && read_one(&walk))
		;
	if (kills > 100 && held == 0)
		fault("of %ld kills none met a holder of the lock: nothing was tested", kills);
	printf("ring_stress: %.1f s, %ld kills, %ld of them with the lock held; %lu records, %lu read whole, %lu lost, %lu seeks; "
	       "%u faults%s%s\n", (double)(now_us() - start) / 1e6, kills, held, ring_tail(&ring) - 1, atomic_load(&arena->read),
	       atomic_load(&arena->lost), atomic_load(&arena->seeks), atomic_load(&arena->faults),
	       arena->fault[0] ? ", the first: " : "", arena->fault);
	return atomic_load(&arena->faults) ? 1 : 0;
}

static int make_arena(void)
{
	size_t index_at = sizeof(struct arena), ring_at = index_at + index_size(TOPICS), size;
	int fd = segment_create("ring_stress", ring_at + ring_size(BYTES, DESCS));
	uint8_t *mem = fd < 0 ? NULL : segment_map(fd, 1, &size);

	if (!mem)
		return -1;
	arena = (struct arena *)mem;
	index_format(mem + index_at, TOPICS);
	ring_format(mem + ring_at, BYTES, DESCS);
	if (index_attach(&ix, mem + index_at, index_size(TOPICS)) < 0)
		return -1;
	return ring_attach(&ring, mem + ring_at, ring_size(BYTES, DESCS), &ix);
}

static int usage(void)
{
	fprintf(stderr, "usage: ring_stress [SECONDS [KILLS [SEED]]] | --every-instruction [EACH [FIRST]]\n");
	return 2;
}

int main(int argc, char **argv)
{
	double seconds = 5;
	unsigned each, first;
	long kills = 5000;

	if (argc > 1 && strcmp(argv[1], "--every-instruction") == 0) {
		each = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
		if (each == 0)
			return usage();
		first = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : (unsigned)now_us();
		return every_instruction(each, first % each);
	}
	if (argc > 1)
		seconds = atof(argv[1]);
	if (argc > 2)
		kills = atol(argv[2]);
	rng = argc > 3 ? strtoull(argv[3], NULL, 10) * 2 + 1 : (uint64_t)now_us() | 1;
	if (seconds <= 0 || seconds > 1e6 || kills < 0)
		return usage();
	if (make_arena() < 0) {
		perror("ring_stress");
		return 1;
	}
	alarm((unsigned)seconds + 30);		/* a hang is a fault, too; the children die with us */
	return stress(seconds, kills);
}

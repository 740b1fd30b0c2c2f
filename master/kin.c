/*
 * Keepers are asked what they have. See kin.h.
 */
#include "master/kin.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/door.h"
#include "master/program.h"
#include "shm/crash.h"
#include "shm/log.h"

#define PATIENCE_MS 8000	/* for keepers to say what they have, or to go */
#define AGAIN_MS 1000		/* those that have not are asked again */
#define POLL_MS 20

int kin_find(struct kin *kin)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		int fd = door_connect(kin->m->dir.path, i);

		if (fd < 0)
			continue;
		kin->slot[i] = calloc(1, sizeof(struct kept));
		if (!kin->slot[i]) {
			close(fd);
			return -1;
		}
		kin->slot[i]->orders = fd;
		CRASH_POINT("adopt-connected");
	}
	return 0;
}

unsigned kin_untold(const struct kin *kin)
{
	unsigned n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += kin->slot[i] && kin->slot[i]->orders >= 0 && !kin->slot[i]->whole;
	return n;
}

static void share(int *fd, int other)
{
	if (*fd < 0 || other < 0 || !program_same_file(*fd, other))
		return;
	close(*fd);
	*fd = other;
}

/* What another keeper has said already is not kept twice: descriptors may be few. */
static void share_all(struct handover *h, int *program, const struct kept *first)
{
	const struct handover *f = &first->h;

	share(&h->hub, f->hub);
	share(&h->secrets, f->secrets);
	share(program, first->program);
	/* (These are the same with all, always. Eventfds can't be told from each other.) */
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		kin_close(h->wake[i]);
		kin_close(h->queue[i]);
	}
	memcpy(h->wake, f->wake, sizeof(h->wake));
	memcpy(h->queue, f->queue, sizeof(h->queue));
	share(&h->tickets, f->tickets);
	share(&h->fetched, f->fetched);
	share(&h->control, f->control);
	for (unsigned i = 0; i < h->listeners; i++)
		for (unsigned j = 0; j < f->listeners && h->listen[i].fd != f->listen[j].fd; j++)
			share(&h->listen[i].fd, f->listen[j].fd);
}

/* False: more is to come. True: it has said all, or its connection has ended. */
static bool hear(struct kin *kin, unsigned slot)
{
	struct kept *k = kin->slot[slot];

	switch (adopt_hear(k->orders, &k->told)) {
	case ADOPT_MORE:
		return false;
	case ADOPT_WHOLE:
		if (adopt_take(&k->told, &k->h, &k->program) == 0 && k->h.slot == (int)slot) {
			k->whole = true;
			if (kin->first)
				share_all(&k->h, &k->program, kin->first);
			else
				kin->first = k;
			CRASH_POINT("adopt-one");
			return true;
		}
		/* fall through */
	case ADOPT_END:
		/* It has died, and its spare is the keeper; or that, too. Or there were no descriptors for what it said. */
		adopt_forget(&k->told);
		close(k->orders);
		k->orders = door_connect(kin->m->dir.path, slot);
		poll(NULL, 0, POLL_MS);
	}
	return true;
}

/* Asks one, and hears it for a while. */
static void ask(struct kin *kin, unsigned slot, uint64_t until)
{
	struct pollfd p = { .fd = kin->slot[slot]->orders, .events = POLLIN };
	uint64_t now = restarts_now();

	(void)!orders_send(p.fd, ORDER_TELL);
	for (; now < until; now = restarts_now())
		if (poll(&p, 1, (int)(until - now)) > 0 && hear(kin, slot))
			return;
}

/* One that somebody has stopped goes on. (Of several, the kernel names one that holds the lock; the others come behind it.) */
static void wake(const struct kin *kin)
{
	pid_t keeper = runtime_dir_keeper(kin->m->dir.lock);

	if (keeper > 0)
		kill(keeper, SIGCONT);
	log_info("waiting for what an earlier janus left behind: %u keepers, process %d", kin_untold(kin), (int)keeper);
}

/* One after the other, as each says some hundred descriptors. */
void kin_ask(struct kin *kin)
{
	uint64_t deadline = restarts_now() + PATIENCE_MS, until;

	while (kin_untold(kin) && restarts_now() < deadline) {
		uint64_t begun = restarts_now();

		for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
			if (kin->slot[i] && kin->slot[i]->orders >= 0 && !kin->slot[i]->whole) {
				until = restarts_now() + AGAIN_MS;
				ask(kin, i, until < deadline ? until : deadline);
			}
		if (kin_untold(kin) && restarts_now() - begun >= AGAIN_MS)
			wake(kin);
	}
}

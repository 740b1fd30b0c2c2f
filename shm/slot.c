/*
 * The slot segment.
 */
#include "shm/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shm/hub_shm.h"
#include "shm/segment.h"

#define FRAME_GROWTH 13			/* an empty string is one byte of a packet, and on a page of HTML `&quot;&quot;,` */
#define STEP 4				/* a class of large buffers is so many times the one before */
#define EACH 5				/* buffers that a session has at most: input, output, rights, and what TLS has of records, to be sent and to be opened */
#define SOME 8				/* buffers for moments in which there is an old one and a new one */

static uint64_t align(uint64_t n)
{
	return (n + 4095) & ~(uint64_t)4095;
}

/*
 * The classes of the buffer pool. A buffer takes no memory until it is used, and there are as many of each class as can be in use at one time: EACH
 * for every session. A larger one is taken only for what does not fit into the next smaller class, so there can't be more
 * of them in use than the limit on all buffers' bytes allows.
 */
static void size_classes(struct buffer_class_shm class[BUFFER_CLASSES], const struct slot_size *size)
{
	/* A request of HTTP with all that may stand around its body; and the rest of a frame, with answers that are to be sent behind it. */
	uint64_t large = align((uint64_t)FRAME_GROWTH * size->frame + 131072 + sizeof(struct buffer_shm)), least = 4096;

	class[0].size = BUFFER_LEAST;
	class[1].size = 4096;
	class[2].size = 65536;
	for (int i = 3; i < BUFFER_CLASSES; i++)
		class[i].size = (uint32_t)(i == BUFFER_CLASSES - 1 || STEP * (uint64_t)class[i - 1].size > large ? large : STEP * class[i - 1].size);
	class[0].count = EACH * size->sessions;
	for (int i = 1; i < BUFFER_CLASSES; i++) {
		uint64_t most = size->buffered / least + SOME;

		class[i].count = most < EACH * (uint64_t)size->sessions ? (uint32_t)most : EACH * size->sessions;
		if (class[i].size == class[i - 1].size)
			class[i].count = 0;
		least = class[i].size;
	}
}

static uint64_t lay_out(struct slot_shm *s, const struct slot_size *size)
{
	uint64_t at, subscriptions = (uint64_t)size->sessions * SLOT_SHARE + size->subscriptions;

	s->sessions_max = size->sessions;
	s->subscriptions_max = subscriptions < UINT32_MAX / 2 ? (uint32_t)subscriptions : UINT32_MAX / 2;
	s->sessions_at = align(sizeof(*s));
	s->subscriptions_at = s->sessions_at + align(size->sessions * sizeof(struct session_shm));
	s->rights_at = s->subscriptions_at + align((s->subscriptions_max + 1ull) * sizeof(struct subscription_shm));
	s->peers_at = s->rights_at + align(size->sessions * sizeof(uint32_t));
	s->watch_at = s->peers_at + align(size->sessions * sizeof(struct peer_shm));
	at = s->watch_at + align(size->sessions);
	size_classes(s->buffer_class, size);
	for (int i = 0; i < BUFFER_CLASSES; i++) {
		s->buffer_class[i].at = at;
		at += align((uint64_t)s->buffer_class[i].size * s->buffer_class[i].count);
	}
	return at;
}

static int slot_format(int fd, const struct slot_shm *plan)
{
	struct slot_shm *s;
	size_t size;

	s = segment_map(fd, 1, &size);
	if (!s)
		return -1;
	memcpy(s, plan, sizeof(*plan));
	s->size = size;
	/* release: who sees the magic sees all of the above */
	atomic_store_explicit(&s->magic, SLOT_MAGIC, memory_order_release);
	segment_unmap(s, size);
	return 0;
}

int slot_create(const char *name, const struct slot_size *size)
{
	struct slot_shm plan = { .layout = HUB_LAYOUT };
	uint64_t bytes = lay_out(&plan, size);
	int fd = segment_create(name, bytes);

	if (fd < 0)
		return -1;
	if (slot_format(fd, &plan) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int slot_empty(const struct slot *slot, int fd, bool close_sessions, uint32_t *count)
{
	struct slot_shm plan = { .layout = HUB_LAYOUT };
	uint32_t end = atomic_load(&slot->shm->fd_end);

	*count = 0;
	for (uint32_t i = 0; i < end; i++) {
		if (slot->sessions[i].status != SESSION_OPEN)
			continue;
		++*count;
		if (close_sessions)
			close((int)i);
	}
	plan.sessions_max = slot->shm->sessions_max;
	plan.subscriptions_max = slot->shm->subscriptions_max;
	plan.sessions_at = slot->shm->sessions_at;
	plan.subscriptions_at = slot->shm->subscriptions_at;
	plan.rights_at = slot->shm->rights_at;
	plan.peers_at = slot->shm->peers_at;
	plan.watch_at = slot->shm->watch_at;
	memcpy(plan.buffer_class, slot->shm->buffer_class, sizeof(plan.buffer_class));
	/* (The sizes stay, so that it can be done again.) */
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)plan.sessions_at, (off_t)(slot->size - plan.sessions_at)) < 0)
		return -1;
	return slot_format(fd, &plan);
}

int slot_attach(struct slot *slot, int fd, bool write)
{
	struct slot_shm *s;

	memset(slot, 0, sizeof(*slot));
	s = segment_map(fd, write, &slot->size);
	if (!s)
		return -1;
	slot->shm = s;
	if (slot->size < sizeof(*s) || atomic_load_explicit(&s->magic, memory_order_acquire) != SLOT_MAGIC ||
	    s->layout != HUB_LAYOUT || s->size != slot->size) {
		slot_detach(slot);
		errno = EPROTO;
		return -1;
	}
	slot->sessions = (struct session_shm *)((uint8_t *)s + s->sessions_at);
	slot->subscriptions = (struct subscription_shm *)((uint8_t *)s + s->subscriptions_at);
	slot->rights = (_Atomic uint32_t *)((uint8_t *)s + s->rights_at);
	slot->peers = (struct peer_shm *)((uint8_t *)s + s->peers_at);
	slot->watch = (_Atomic uint8_t *)((uint8_t *)s + s->watch_at);
	return 0;
}

void slot_detach(struct slot *slot)
{
	if (slot->shm)
		segment_unmap(slot->shm, slot->size);
	memset(slot, 0, sizeof(*slot));
}

void slot_redo(const struct slot *slot)
{
	struct slot_shm *s = slot->shm;
	uint32_t fd = atomic_load_explicit(&s->redo_fd, memory_order_acquire);

	if (fd != 0) {
		const struct passed_shm *passed = &s->redo_passed;

		slot_session(slot, (int)fd - 1)->state = s->redo;
		if (passed->subscription != 0 && passed->subscription <= s->subscriptions_max) {
			slot->subscriptions[passed->subscription].number = passed->number;
			slot->subscriptions[passed->subscription].from = passed->from;
		}
		/* release: the copies are whole */
		atomic_store_explicit(&s->redo_fd, 0, memory_order_release);
		atomic_signal_fence(memory_order_seq_cst);
	}
	s->redo_passed.subscription = 0;
}

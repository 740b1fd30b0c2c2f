/*
 * A slot's snapshot: the frames that its sessions are in the middle of, and its sessions (snapshot_session.h). See snapshot.h.
 */
#include <errno.h>
#include <string.h>

#include "proto/transport.h"
#include "shm/snapshot.h"
#include "shm/snapshot_session.h"

/* ---- writing ---- */

static bool is_frame(const struct slot *slot, uint32_t ref)
{
	const struct buffer_shm *head = pool_header(slot, ref);

	return head->scan[BUFFER_TRANSPORT] < TRANSPORTS && head->len <= pool_room(slot, ref);
}

static int put_frame(struct snapshot_writer *w, const struct slot *slot, uint32_t ref)
{
	const struct buffer_shm *head = pool_header(slot, ref);
	const char *transport;

	if (!is_frame(slot, ref))
		return snapshot_bad();
	transport = transport_table[head->scan[BUFFER_TRANSPORT]].word;
	snapshot_put_map(w, 4);
	snapshot_put_uint(w, "seq", head->base);
	snapshot_put_text(w, "proto", transport, strlen(transport));
	snapshot_put_uint(w, "page_base", head->scan[BUFFER_PAGE_BASE]);
	snapshot_put_bytes(w, "bytes", pool_bytes(slot, ref), head->len);
	return 0;
}

int snapshot_write_slot(const struct hub *hub, const struct slot *slot, const struct tls *tls, int fd, void (*beat)(void *of), void *of)
{
	uint32_t end = atomic_load(&slot->shm->fd_end), count = 0, frames = 0;
	struct snapshot_writer w;
	int r;

	if (atomic_load(&slot->shm->redo_fd) || atomic_load(&slot->shm->flights) || (tls && atomic_load(&tls->shm->redo_fd))) {
		errno = EBUSY;
		return -1;
	}
	for (uint32_t i = 0; i < end; i++)
		count += atomic_load(&slot->sessions[i].status) == SESSION_OPEN;
	for (uint32_t ref = atomic_load(&slot->shm->kept); ref; ref = atomic_load(&pool_header(slot, ref)->next))
		frames++;
	snapshot_begin(&w, fd, "slot", 2);
	snapshot_put_uint(&w, "sessions", count);
	snapshot_put_uint(&w, "frames", frames);
	for (uint32_t ref = atomic_load(&slot->shm->kept); ref; ref = atomic_load(&pool_header(slot, ref)->next)) {
		if (beat)
			beat(of);
		if (put_frame(&w, slot, ref) < 0)
			return -1;
	}
	for (uint32_t i = 0; i < end; i++) {
		if (beat && i % 256 == 0)
			beat(of);
		if (atomic_load(&slot->sessions[i].status) == SESSION_OPEN && snapshot_put_session(&w, hub, slot, tls, i, NULL) < 0)
			return -1;
	}
	r = snapshot_end(&w);
	explicit_bzero(w.buffer, sizeof(w.buffer));
	return r;
}

/* ---- reading ---- */

struct reading {
	struct session_reading of;
	struct buffer_pool pool;
	uint32_t subscriptions;		/* taken */
};

static uint32_t take_subscription(void *of)
{
	struct reading *x = of;

	return x->subscriptions < x->of.slot->shm->subscriptions_max ? ++x->subscriptions : 0;
}

/* A frame that sessions are in the middle of. (An older version's snapshot has none.) */
static int read_frame(struct session_reading *x)
{
	const struct msgpack_value *o = snapshot_next(&x->r);
	struct buffer_shm *head;
	uint32_t ref, len, transport = 0;
	const uint8_t *bytes;

	if (!o || snapshot_get_transport(x, o, &transport) < 0)
		return -1;
	bytes = snapshot_get_bytes(&x->r, o, "bytes", &len);
	ref = pool_take(x->pool, len);
	if (ref == BUFFER_NONE) {
		errno = ENOSPC;
		return -1;
	}
	memcpy(pool_bytes(x->slot, ref), bytes, len);
	head = pool_header(x->slot, ref);
	head->base = snapshot_get_uint(&x->r, o, "seq", SNAPSHOT_NEEDED, x->tail);
	head->len = len;
	head->scan[BUFFER_TRANSPORT] = transport;
	head->scan[BUFFER_PAGE_BASE] = (uint32_t)snapshot_get_uint(&x->r, o, "page_base", 0, UINT32_MAX);
	atomic_store(&head->next, atomic_load(&x->slot->shm->kept));
	atomic_store(&x->slot->shm->kept, ref);
	return x->r.bad ? snapshot_bad() : 0;
}

static int read_session(struct session_reading *x)
{
	if (snapshot_get_session(x, -1) < 0)
		return -1;
	if (x->fd >= atomic_load(&x->slot->shm->fd_end))
		atomic_store(&x->slot->shm->fd_end, x->fd + 1);
	/* release: the worker sees the session whole */
	atomic_store_explicit(&x->slot->sessions[x->fd].status, SESSION_OPEN, memory_order_release);
	return 0;
}

static int read_sessions(struct session_reading *x, int fd)
{
	const struct msgpack_value *head = snapshot_open(&x->r, fd, "slot");
	uint64_t count, frames;

	if (!head)
		return -1;
	count = snapshot_get_uint(&x->r, head, "sessions", SNAPSHOT_NEEDED, UINT32_MAX);
	frames = snapshot_get_uint(&x->r, head, "frames", 0, UINT32_MAX);
	for (uint64_t i = 0; i < frames; i++)
		if (read_frame(x) < 0)
			return -1;
	for (uint64_t i = 0; i < count; i++)
		if (read_session(x) < 0)
			return -1;
	return snapshot_finish(&x->r);
}

int snapshot_read_slot(struct hub *hub, const struct slot *slot, struct tls *tls, unsigned number, uint32_t lock_owner, int fd)
{
	struct reading x = { .of = { .hub = hub, .slot = slot, .tls = tls, .number = number, .lock_owner = lock_owner, .tail = ring_tail(&hub->ring) } };
	int r = -1;

	x.of.pool = &x.pool;
	x.of.take = take_subscription;
	x.of.of = &x;
	if (pool_init(&x.pool, slot) < 0)
		return -1;
	if (pool_ready(&x.pool) == 0) {
		r = read_sessions(&x.of, fd);
		snapshot_close(&x.of.r);
	}
	pool_fini(&x.pool);
	return r;
}

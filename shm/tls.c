/*
 * The TLS segment. See tls.h.
 */
#include "shm/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/hub_shm.h"
#include "shm/log.h"
#include "shm/segment.h"

#define LOCK_STEP 65536		/* bytes of entries that are locked at a time */

static uint64_t entries_at(void)
{
	return (sizeof(struct tls_shm) + 4095) & ~(uint64_t)4095;
}

static int format(int fd, uint32_t entries)
{
	struct tls_shm plan = { .layout = HUB_LAYOUT, .entries = entries, .entries_at = entries_at() };
	struct tls_shm *s;
	size_t size;

	s = segment_map(fd, 1, &size);
	if (!s)
		return -1;
	memcpy(s, &plan, sizeof(plan));
	s->size = size;
	/* release: who sees the magic sees all of the above */
	atomic_store_explicit(&s->magic, TLS_MAGIC, memory_order_release);
	segment_unmap(s, size);
	return 0;
}

int tls_create(const char *name, uint32_t entries)
{
	int fd = segment_create(name, entries_at() + (uint64_t)entries * sizeof(struct tls_entry_shm));

	if (fd >= 0 && format(fd, entries) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

int tls_attach(struct tls *tls, int fd, uint32_t entries)
{
	struct tls_shm *s;

	memset(tls, 0, sizeof(*tls));
	s = segment_map(fd, 1, &tls->size);
	if (!s)
		return -1;
	tls->shm = s;
	if (tls->size < sizeof(*s) || atomic_load_explicit(&s->magic, memory_order_acquire) != TLS_MAGIC || s->layout != HUB_LAYOUT ||
	    s->size != tls->size || s->entries < entries || s->entries_at + s->entries * sizeof(struct tls_entry_shm) > s->size) {
		tls_detach(tls);
		errno = EPROTO;
		return -1;
	}
	tls->entries = (struct tls_entry_shm *)((uint8_t *)s + s->entries_at);
	return 0;
}

void tls_detach(struct tls *tls)
{
	if (tls->shm)
		segment_unmap(tls->shm, tls->size);
	memset(tls, 0, sizeof(*tls));
}

int tls_empty(const struct tls *tls, int fd)
{
	uint32_t entries = tls->shm->entries;

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)entries_at(), (off_t)(tls->size - entries_at())) < 0)
		return -1;
	return format(fd, entries);
}

/*
 * Locks the segment in memory as far as entries of it are used, so that RLIMIT_MEMLOCK need not cover what is not. What can't be locked is said once: it
 * may get into swap space.
 */
static void lock_upto(struct tls *tls, size_t end)
{
	static bool told;

	end = (end + LOCK_STEP - 1) / LOCK_STEP * LOCK_STEP;
	if (end > tls->size)
		end = tls->size;
	if (end <= tls->locked)
		return;
	if (mlock2((uint8_t *)tls->shm + tls->locked, end - tls->locked, MLOCK_ONFAULT) < 0 && !told) {
		told = true;
		log_warning("TLS keys can't be locked in memory (%s), and may get into swap space: RLIMIT_MEMLOCK (LimitMEMLOCK=)", strerror(errno));
	}
	tls->locked = end;
}

/* ---- an entry's beginning and end ---- */

static void note(const struct tls *tls, int fd)
{
	/* release, and the fence: the entry changes only when it is noted */
	atomic_store_explicit(&tls->shm->changing, (uint32_t)fd + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

void tls_begin(struct tls *tls, int fd)
{
	lock_upto(tls, tls->shm->entries_at + ((size_t)fd + 1) * sizeof(struct tls_entry_shm));
	note(tls, fd);
	explicit_bzero(tls_entry(tls, fd), sizeof(struct tls_entry_shm));
}

void tls_end(const struct tls *tls, int fd)
{
	note(tls, fd);
}

void tls_settled(const struct tls *tls)
{
	/* release: entry and session are what they are before they are no longer noted */
	atomic_store_explicit(&tls->shm->changing, 0, memory_order_release);
}

void tls_wipe(const struct tls *tls, int fd)
{
	explicit_bzero(tls_entry(tls, fd), sizeof(struct tls_entry_shm));
	CRASH_POINT("tls-wiped");
	tls_settled(tls);
}

/* ---- commits ---- */

static void forget_redo(struct tls_shm *s)
{
	/* release: the copy is whole */
	atomic_store_explicit(&s->redo_fd, 0, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	explicit_bzero(&s->redo, sizeof(s->redo));
}

void tls_commit_keys(const struct tls *tls, int fd, const struct tls_entry_shm *entry)
{
	struct tls_shm *s = tls->shm;

	s->redo = *entry;
	/* release: as in tls_commit() */
	atomic_store_explicit(&s->redo_fd, (uint32_t)fd + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	CRASH_POINT("tls-keys-staged");
#ifdef JANUS_CRASH_POINTS
	tls_entry(tls, fd)->flow = entry->flow;
	CRASH_POINT("tls-keys-half");
#endif
	*tls_entry(tls, fd) = *entry;
	CRASH_POINT("tls-keys-copied");
	forget_redo(s);
}

void tls_redo(const struct tls *tls, bool (*is_tls)(const void *of, int fd), const void *of)
{
	struct tls_shm *s = tls->shm;
	uint32_t fd = atomic_load_explicit(&s->redo_fd, memory_order_acquire);

	if (fd != 0 && fd <= s->entries) {
		if (s->redo.kind.version)
			*tls_entry(tls, (int)fd - 1) = s->redo;
		else
			tls_entry(tls, (int)fd - 1)->flow = s->redo.flow;
	}
	forget_redo(s);
	fd = atomic_load_explicit(&s->changing, memory_order_acquire);
	if (fd != 0 && fd <= s->entries && !is_tls(of, (int)fd - 1))
		explicit_bzero(tls_entry(tls, (int)fd - 1), sizeof(struct tls_entry_shm));
	tls_settled(tls);
}

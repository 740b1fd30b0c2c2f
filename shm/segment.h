/*
 * Shared memory segments: memfds, mapped. Nothing in any file system, so nothing is left when the processes are gone.
 */
#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes a segment of `size` bytes (rounded up to pages, zero, unbacked until touched), sealed against resizing. `name` shows in
 * /proc. The descriptor is not close-on-exec. -1 with errno. */
int segment_create(const char *name, size_t size);

/* An empty memfd that can be sealed, where the kernel knows it one that can't be executed; not close-on-exec. -1 with errno. */
int segment_memfd(const char *name);

/* Maps the whole segment shared; read-only if `writable` is 0; not in core dumps. Its size goes to *size. NULL with errno. */
void *segment_map(int fd, int writable, size_t *size);

/*
 * The same of a segment that is one struct, whose first member is `_Atomic uint64_t magic`, stored when it is made. segment_map_struct() gives NULL with EPROTO
 * for what is none.
 */
int segment_create_struct(const char *name, size_t size, uint64_t magic);
void *segment_map_struct(int fd, bool writable, size_t size, uint64_t magic);

/* Bytes of it that take memory; 0: that can't be told. */
uint64_t segment_used(int fd);

void segment_unmap(void *mem, size_t size);

#endif

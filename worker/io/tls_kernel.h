/*
 * The kernel's TLS: a connection whose records the kernel makes (Linux, Documentation/networking/tls.rst: TCP_ULP "tls", TLS_TX). Only sending: what comes in is
 * opened here, as ever.
 *
 * From tls_kernel_begin() on what is given to send() on the descriptor is text, of which the kernel takes whole records and nothing else: TLS_TEXT_MAX bytes each,
 * the last one what is left. It can't be taken back. The number of the next record is the kernel's, and can be asked for.
 */
#ifndef WORKER_IO_TLS_KERNEL_H
#define WORKER_IO_TLS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shm/tls_shm.h"

/*
 * Gives the kernel the entry's keys and the number of its next record. Nothing of TLS may be under way on the connection. 0; 1: the kernel can't do it for this
 * connection, which is what it was; -1: it has begun, and a network card makes the records, which can't be accounted for: the connection must be closed, and
 * the next ones get 1.
 */
int tls_kernel_begin(int fd, const struct tls_entry_shm *entry);
/* Sends a record of another type than data. Its length, which is all of it, or -1 with errno. */
ssize_t tls_kernel_say(int fd, uint8_t type, const void *text, size_t len);
/* Our next records have these keys, and are numbered from 0 on. 0, or -1 with errno. */
int tls_kernel_keys(int fd, struct tls_kind kind, const struct tls_keys *keys);
/*
 * Which number the kernel's next record has. 0; 1: of the generation of keys that follows `keys`; -1: it can't be told.
 */
int tls_kernel_number(int fd, struct tls_kind kind, const struct tls_keys *keys, uint64_t *number);

#endif

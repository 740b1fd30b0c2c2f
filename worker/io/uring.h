/*
 * A ring of io_uring that can send, and nothing else: who gets hold of a worker can't have the kernel open files or connect through it, which no
 * seccomp filter would see.
 */
#ifndef WORKER_IO_URING_H
#define WORKER_IO_URING_H

#include <liburing.h>

/*
 * Makes a ring of so many entries, which takes IORING_OP_SEND without flags alone, from this thread alone where the kernel knows that (6.1). A kernel
 * that has no restrictions (before 5.10) gives one without. 0, or -errno. It ends by io_uring_queue_exit().
 */
int uring_open(struct io_uring *ring, unsigned entries);

#endif

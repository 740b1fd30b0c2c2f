/*
 * A ring that can send, and nothing else. See uring.h.
 */
#include "worker/io/uring.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* (liburing has functions for what is registered here, but the library of Debian 12 does not export them.) 0, or -errno. */
static int ring_register(const struct io_uring *ring, unsigned opcode, const void *what, unsigned count)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, opcode, what, count) < 0 ? -errno : 0;
}

/* What is not said is refused: other operations, flags of an entry (linked, fixed files), and registering anything more. */
static int restrict_to_sends(const struct io_uring *ring)
{
	struct io_uring_restriction sends = { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SEND };

	return ring_register(ring, IORING_REGISTER_RESTRICTIONS, &sends, 1);
}

int uring_open(struct io_uring *ring, unsigned entries)
{
	/* From what the newest kernels know to what all do. A ring that is to be restricted must not be enabled yet. */
	static const unsigned flags[] = {
		IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_R_DISABLED, 0,
	};
	int r = -EINVAL;

	for (size_t i = 0; r == -EINVAL && i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct io_uring_params p = { .flags = flags[i] };

		r = io_uring_queue_init_params(entries, ring, &p);
		if (r < 0 || !(flags[i] & IORING_SETUP_R_DISABLED))
			continue;
		restrict_to_sends(ring);	/* (A kernel that refuses has none: the ring does without.) */
		r = ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
		if (r < 0)
			io_uring_queue_exit(ring);
	}
	return r;
}

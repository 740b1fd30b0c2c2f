/*
 * Whether something failed only because the machine is short of something (processes, descriptors, memory), so that it may work later.
 */
#ifndef SHM_SHORTAGE_H
#define SHM_SHORTAGE_H

#include <errno.h>
#include <stdbool.h>

static inline bool is_shortage(int error)
{
	switch (error) {
	case EAGAIN: case EMFILE: case ENFILE: case ENOMEM: case ENOBUFS: case ENOSPC: case EFBIG: case EDQUOT:
		return true;
	}
	return false;
}

#endif

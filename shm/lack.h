/*
 * What an errno means for who starts something: does the machine only lack something (processes, descriptors, memory) that may be there
 * later?
 */
#ifndef SHM_LACK_H
#define SHM_LACK_H

#include <errno.h>
#include <stdbool.h>

static inline bool lack(int error)
{
	switch (error) {
	case EAGAIN: case EMFILE: case ENFILE: case ENOMEM: case ENOBUFS: case ENOSPC: case EFBIG: case EDQUOT:
		return true;
	}
	return false;
}

#endif

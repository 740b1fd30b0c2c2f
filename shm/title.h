/*
 * What ps shows of a process in the place of its arguments (/proc/PID/cmdline).
 */
#ifndef SHM_TITLE_H
#define SHM_TITLE_H

#define TITLE_MAX 4096		/* bytes, with the end; what is longer is cut */

/*
 * From now on the process is called so. Its arguments and environment stay as they are, for itself and in /proc/PID/environ. The first call in a program asks the
 * kernel for that, and allocates a page; later ones, also in children that were forked since, write a text and make no system call. A child that has none of
 * its own has its parent's; a program that is executed has its arguments again. Where the kernel can't do it, nothing happens: names that prctl() gave say
 * what is what there. For one thread at a time.
 */
void title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

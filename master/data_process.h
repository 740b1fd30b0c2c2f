/*
 * janus-data: the process that writes the journal (shm/journal.h), a child of the master. At a server's start it reads what is there first.
 *
 * It can be killed at any time: another one goes on. SIGUSR1 tells it that nobody publishes any more: it writes what there is, and that the server ended in
 * order. If the master dies it goes on until keepers and workers are gone, too, and then does the same.
 */
#ifndef MASTER_DATA_PROCESS_H
#define MASTER_DATA_PROCESS_H

#define DATA_NAME "janus-data"

/* main(): `handover` is the memfd. Returns its exit status: 0 the journal has its end, else 1 (logged). */
int data_process_main(int handover);

#endif

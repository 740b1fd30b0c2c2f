/*
 * What the files about slots offer each other: slots.c, which slots_death.c calls, and slots_watch.c both. What they offer all others is in master.h.
 */
#ifndef MASTER_SLOTS_H
#define MASTER_SLOTS_H

#include "master/master.h"

/* Seconds between looks while a keeper is to be made again (m->slots_timer). */
#define SLOTS_RETRY 0.02

/* ---- slots.c ---- */

/* Makes the keeper of a slot that has a segment and nobody. 0, or -1 (logged). */
int slots_start_keeper(struct master *m, unsigned slot);

/* This process is the slot's keeper from now on, and its end comes as SIGCHLD does, whoever's child it is; 0: nobody is. */
void slots_follow(struct master *m, unsigned slot, uint32_t pid);

/* Sends the slot's keeper a signal. */
void slots_signal(const struct master *m, unsigned slot, int sig);

/* The slot is used no more: what slots_start() has made is let go. */
void slots_forget(struct master *m, unsigned slot);

/*
 * A living process of this server's. Numbers in the hub are what workers say: one that is no child of ours is taken if it runs as workers do, so that nothing can be done to it that they could not do
 * themselves.
 */
bool slots_is_ours(const struct master *m, uint32_t pid);

/* ---- slots_death.c ---- */

/* Now and then, of a slot without a keeper: its worker that is to end is watched, or its next keeper made, if it is time. `now` as restarts_now(). */
void slots_look_lost(struct master *m, unsigned slot, uint64_t now);

#endif

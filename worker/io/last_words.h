/*
 * What a client is told whose session is sent nothing more.
 */
#ifndef WORKER_IO_LAST_WORDS_H
#define WORKER_IO_LAST_WORDS_H

#include "worker/session/session.h"

/*
 * Sends it text[0..len), TRANSPORT_NOTICE_MAX at most, if its socket takes that. What the session's state says by now excludes that a successor counts it as a part
 * of its stream; `was` is what it was before.
 */
void last_words(struct base *base, session_id sid, const struct session_state_shm *was, const void *text, size_t len);

#endif

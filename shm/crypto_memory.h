/*
 * What libcrypto and libssl give back is wiped. They do so themselves with some of the secrets, but not with those of a handshake: traffic secrets and the
 * text of tickets stay in the heap when their connection's object is freed.
 */
#ifndef SHM_CRYPTO_MEMORY_H
#define SHM_CRYPTO_MEMORY_H

/* From now on, in this process and what it forks. Before anything else of theirs is called: else it does nothing. */
void crypto_memory_wiped(void);

#endif

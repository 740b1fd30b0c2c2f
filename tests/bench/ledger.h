/*
 * What a subscriber who breaks off and comes back has had, of a round's messages, and what it was told that it would not get. Publishers number their
 * messages, and one publisher's come in that order: so what is missing shows at the publisher's next message, and has been told by then or never is.
 */
#ifndef BENCH_LEDGER_H
#define BENCH_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/account.h"

#define LEDGER_PUBLISHERS_MAX 64u

struct ledger {
	struct account *account;
	uint64_t forgiven;	/* a bit a publisher: it was told of a loss since that one's last message */
	uint32_t told;		/* messages that are missing, and that it was told of */
};

/* Of `messages` to its stream, from so many publishers. Ends the program if there is no memory. */
void ledger_init(struct ledger *l, uint32_t messages, uint32_t publishers);
void ledger_fini(struct ledger *l);

/* The server says that something is missing. */
void ledger_told(struct ledger *l);

/* Enters a message. *silent: how many of its publisher's before it are missing without a word. */
enum account_entry ledger_enter(struct ledger *l, const struct payload *p, uint32_t *silent);

/* Whether it has had the last message of each publisher: nothing more will come. */
bool ledger_complete(const struct ledger *l);

/* The round is over: what never came, and of that what it was not told of. */
struct ledger_losses {
	uint32_t told, silent;
};
struct ledger_losses ledger_losses(const struct ledger *l);

#endif

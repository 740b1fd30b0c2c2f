#include "tests/bench/ledger.h"

void ledger_init(struct ledger *l, uint32_t messages, uint32_t publishers)
{
	*l = (struct ledger){ .account = account_create(NULL, 0, &(struct stamp){ 0 }, messages, publishers) };
}

void ledger_fini(struct ledger *l)
{
	account_destroy(l->account);
	l->account = NULL;
}

void ledger_told(struct ledger *l)
{
	l->forgiven = UINT64_MAX;
}

/* A gap in this publisher's messages: whose fault it is. Returns how much of it is silent. */
static uint32_t take_gap(struct ledger *l, uint32_t publisher, uint32_t gap)
{
	uint64_t bit = 1ull << publisher;
	bool forgiven = l->forgiven & bit;

	l->forgiven &= ~bit;
	l->told += forgiven ? gap : 0;
	return forgiven ? 0 : gap;
}

enum account_entry ledger_enter(struct ledger *l, const struct payload *p, uint32_t *silent)
{
	uint32_t next = l->account->next[p->publisher];
	enum account_entry entry = account_enter(l->account, p);

	*silent = entry == ACCOUNT_NEW ? take_gap(l, p->publisher, p->seq - next) : 0;
	return entry;
}

/* How many messages a publisher sends: they take turns. */
static uint32_t messages_of(const struct account *a, uint32_t publisher)
{
	return a->messages / a->publishers + (publisher < a->messages % a->publishers);
}

bool ledger_complete(const struct ledger *l)
{
	const struct account *a = l->account;

	for (uint32_t p = 0; p < a->publishers; p++)
		if (a->next[p] < messages_of(a, p))
			return false;
	return true;
}

struct ledger_losses ledger_losses(const struct ledger *l)
{
	const struct account *a = l->account;
	struct ledger_losses lost = { .told = l->told };
	uint32_t missing = a->messages - a->received;

	for (uint32_t p = 0; p < a->publishers; p++)	/* what is behind the last one that came */
		if (l->forgiven & 1ull << p)
			lost.told += messages_of(a, p) - a->next[p];
	if (lost.told > missing)
		lost.told = missing;			/* some came late */
	lost.silent = missing - lost.told;
	return lost;
}

/*
 * Orders. See order.h.
 */
#include "worker/service/order.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/utf8.h"

#define MAGIC 0x3144524fu		/* "ORD1": another one when the struct changes */
#define REASON "an operator has ended this connection"

static const char *read_name(struct client_order *order, uint32_t kind, const char *name)
{
	size_t inbox = kind == ORDER_KICK_USER, len = strlen(name);

	order->kind = kind;
	if (len == 0 || len + inbox > TOPIC_NAME_MAX)
		return inbox ? "a user has 1 to 254 bytes" : kind == ORDER_KICK_SUB ? "a sub has 1 to 255 bytes" : "a topic has 1 to 255 bytes";
	if (inbox)
		order->name[0] = NAME_INBOX;
	else if (kind == ORDER_KICK_TOPIC && (name[0] == NAME_INBOX || name[0] == NAME_EVERYBODY))
		return "no topic begins so";
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return "a name has no control characters";
	memcpy(order->name + inbox, name, len);
	order->name_len = (uint8_t)(inbox + len);
	return NULL;
}

static const char *read_reason(struct client_order *order, const char *reason)
{
	size_t len = strlen(reason);

	if (len > ORDER_REASON_MAX)
		return "the reason is too long: 120 bytes";
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)reason[i] < 0x20 || reason[i] == 0x7f)
			return "the reason has control characters";
	if (!utf8_text(reason, len))
		return "the reason is not UTF-8";
	memcpy(order->reason, reason, len + 1);
	return NULL;
}

const char *order_read(struct client_order *order, unsigned *slot, const struct order_who *who, const char *reason)
{
	struct client_id client;
	const char *error;

	memset(order, 0, sizeof(*order));
	order->magic = MAGIC;
	*slot = 0;
	if ((who->id != NULL) + (who->topic != NULL) + (who->user != NULL) + (who->sub != NULL) != 1)
		return "one of id, topic, user and sub says who";
	error = read_reason(order, reason && *reason ? reason : REASON);
	if (error)
		return error;
	if (who->topic)
		return read_name(order, ORDER_KICK_TOPIC, who->topic);
	if (who->user)
		return read_name(order, ORDER_KICK_USER, who->user);
	if (who->sub)
		return read_name(order, ORDER_KICK_SUB, who->sub);
	if (client_id_read(&client, who->id) < 0 || client.slot >= INDEX_SLOTS_MAX)
		return "this is no client's id";
	order->kind = ORDER_KICK_CLIENT;
	order->session = client.session;
	order->check = client.check;
	*slot = client.slot;
	return NULL;
}

/* They begin with a time, so that they go up also when a hub is made anew, and leave none out, so that the newest ORDERS_NOTED have places of their own. */
static uint64_t next_number(const struct hub *hub)
{
	uint64_t last = atomic_load_explicit(&hub->shm->orders, memory_order_relaxed), next;

	do
		next = last ? last + 1 : hub_now();
	while (!atomic_compare_exchange_weak(&hub->shm->orders, &last, next));
	return next;
}

int order_send(const struct hub *hub, const int *queue, struct client_order *order, unsigned slot, uint64_t *slots)
{
	bool one = order->kind == ORDER_KICK_CLIENT, full = false;

	*slots = 0;
	order->number = next_number(hub);
	for (unsigned i = one ? slot : 0; i < (one ? slot + 1 : INDEX_SLOTS_MAX); i++) {
		if (queue[i] < 0 || atomic_load_explicit(&hub->shm->slot[i].state, memory_order_relaxed) == SLOT_UNUSED)
			continue;
		if (send(queue[i], order, sizeof(*order), MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*order))
			*slots |= UINT64_C(1) << i;
		else
			full = true;
	}
	errno = full ? EAGAIN : ESRCH;
	return full || *slots == 0 ? -1 : 0;
}

bool order_look(int queue, struct client_order *order)
{
	ssize_t n = recv(queue, order, sizeof(*order), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	return n == (ssize_t)sizeof(*order) && order->magic == MAGIC && order->reason[ORDER_REASON_MAX] == '\0';
}

void order_take_out(int queue)
{
	char byte;

	(void)!recv(queue, &byte, 1, MSG_DONTWAIT);
}

/* ---- what became of it ---- */

static struct order_shm *notes_of(const struct hub_slot_shm *slot, uint64_t number)
{
	return (struct order_shm *)&slot->order[number % ORDERS_NOTED];
}

int order_done(const struct hub *hub, unsigned slot, uint64_t number, uint64_t *count)
{
	const struct order_shm *o = notes_of(&hub->shm->slot[slot], number);
	/* acquire, twice: the count is what it was then, or later */
	uint64_t done = atomic_load_explicit(&o->done, memory_order_acquire), begun = atomic_load_explicit(&o->begun, memory_order_acquire);

	*count = begun == number ? atomic_load_explicit(&o->count, memory_order_relaxed) : 0;
	/* acquire fence: the count was read before; pairs with the fence in order_begin() */
	atomic_thread_fence(memory_order_acquire);
	if (done < number)
		return -1;
	if (begun != number || atomic_load_explicit(&o->begun, memory_order_relaxed) != number)
		*count = ORDER_COUNT_GONE;		/* one that came later has its place */
	return 0;
}

uint64_t order_last(const struct hub_slot_shm *slot)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < ORDERS_NOTED; i++) {
		uint64_t done = atomic_load_explicit(&slot->order[i].done, memory_order_relaxed);

		last = done > last ? done : last;
	}
	return last;
}

bool order_begin(struct hub_slot_shm *slot, uint64_t number)
{
	struct order_shm *o = notes_of(slot, number);

	if (atomic_load_explicit(&o->done, memory_order_relaxed) == number)
		return false;
	if (atomic_load_explicit(&o->begun, memory_order_relaxed) == number)
		return true;
	atomic_store_explicit(&o->begun, 0, memory_order_relaxed);
	/* release fence: who finds the new count also finds that the one before is gone */
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&o->count, 0, memory_order_relaxed);
	/* release: the count is this one's */
	atomic_store_explicit(&o->begun, number, memory_order_release);
	return true;
}

void order_count(struct hub_slot_shm *slot, uint64_t number)
{
	atomic_fetch_add_explicit(&notes_of(slot, number)->count, 1, memory_order_relaxed);
}

void order_end(struct hub_slot_shm *slot, uint64_t number)
{
	/* release: the count is whole */
	atomic_store_explicit(&notes_of(slot, number)->done, number, memory_order_release);
}

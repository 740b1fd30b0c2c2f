/*
 * What janusctl has done to clients. The master only passes it on: a kick into the slots' queues, draining into the hub. So it waits for no worker.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/master.h"
#include "shm/log.h"
#include "worker/service/order.h"

static const char *text_or_none(const char *text)
{
	return *text ? text : NULL;
}

void control_kick(struct master *m, int caller, const struct control_request *request)
{
	static char packet[CONTROL_PACKET_MAX];
	struct client_order order;
	unsigned slot;
	uint64_t slots;
	struct order_who who = { text_or_none(request->id), text_or_none(request->topic), text_or_none(request->user), text_or_none(request->sub) };
	const char *error = order_read(&order, &slot, &who, request->reason);

	if (!error && order_send(&m->hub, m->h.queue, &order, slot, &slots) < 0) {
		if (errno == ESRCH)
			error = "no such client is there";
		else if (slots == 0)
			error = "too many such orders wait to be dealt with: try again";
		else
			error = "some workers have got it; in the queues of others too many such orders wait: try again";
	}
	if (error) {
		control_answer(caller, error);
		return;
	}
	log_info("janusctl: kick of %s %s", who.id ? "client" : who.topic ? "those on topic" : who.user ? "user" : "sub",
		 who.id ? who.id : who.topic ? who.topic : who.user ? who.user : who.sub);
	control_send(caller, packet, control_order_pack(packet, order.number, slots));
	close(caller);
}

/* All of them stay without clients when they have none any more, as those who are sent away from one would come to the other; one alone takes its share
 * again. */
void control_drain(struct master *m, int caller, const struct control_request *request)
{
	bool all = request->slot == CONTROL_NO_SLOT;
	uint32_t drain = (uint32_t)request->rate;

	if (request->rate > DRAIN_RATE_MAX) {
		control_answer(caller, "the rate is too high");
		return;
	}
	if (!all && (request->slot >= INDEX_SLOTS_MAX || !m->h.slots[request->slot].used)) {
		control_answer(caller, "there is no such worker");
		return;
	}
	if (all && drain)
		drain |= DRAIN_STAYS;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && (all || i == request->slot))
			atomic_store(&m->hub.shm->slot[i].drain, drain);
	if (!drain)
		log_info("janusctl: no more draining");
	else if (all)
		log_info("janusctl: all workers are drained, each of %llu clients a second", (unsigned long long)request->rate);
	else
		log_info("janusctl: worker %u is drained of %llu clients a second", request->slot, (unsigned long long)request->rate);
	control_answer(caller, NULL);
}

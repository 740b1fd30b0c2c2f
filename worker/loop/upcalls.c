/*
 * What lower storeys ask for. See base.h and listener.h for what each of these is to do.
 */
#include "worker/loop/upcalls.h"

#include "worker/delivery/partial_frame.h"
#include "worker/loop/connection.h"
#include "worker/loop/handshakes.h"
#include "worker/loop/memory_limit.h"
#include "worker/loop/move.h"
#include "worker/loop/park.h"
#include "worker/loop/proxied.h"
#include "worker/loop/refuse.h"
#include "worker/protocol/input.h"
#include "worker/session/tell.h"

static bool make_room(void *worker, session_id sid, size_t bytes)
{
	return memory_make_room(worker, sid, bytes);
}

static void no_memory(void *worker, session_id sid)
{
	memory_disconnect(worker, sid);
}

static void cut_moved(void *worker, session_id sid, const struct session_state_shm *from, const struct session_state_shm *to)
{
	partial_moved(((struct worker *)worker)->partial, sid, from, to);
}

static void behind_changed(void *worker, session_id sid)
{
	topics_behind_changed(&((struct worker *)worker)->topics, sid);
}

static void go_on(void *worker, session_id sid)
{
	input_stall(&((struct worker *)worker)->protocols, sid);
}

static void take_connection(void *worker, session_id sid)
{
	park_take_connection(worker, sid);
}

static void touch(void *worker, session_id sid)
{
	park_touch(worker, sid);
}

static bool fewer_parked(void *worker)
{
	return park_fewer(worker);
}

static void unpark(void *worker, session_id sid)
{
	tell_ends_as(&((struct worker *)worker)->base, sid, EVENT_WHY_TAKEN);
	park_end(worker, sid, COUNTER_closed);
}

static bool ask_move(void *worker, session_id sid, unsigned slot)
{
	return move_ask(worker, sid, slot);
}

static void accepted(void *worker, int fd, const struct listener *from, const struct event_peer *peer)
{
	struct arrival a = { .proto = from->proto, .slow = from->slow, .as = COUNTER_accepted, .peer = *peer };

	connection_close_over(worker);		/* what has just become free counts as room */
	handshakes_yield(worker);
	if (from->proxy)
		proxied_take(worker, fd, &a, from->tls);
	else if (from->tls)
		handshakes_take(worker, fd, &a);
	else
		connection_take(worker, fd, &a);
}

static bool give_up_refused(void *worker)
{
	uint32_t over = ((struct worker *)worker)->base.over_count;

	connection_close_over(worker);
	return over > 0 || refuse_fewer(worker) || handshakes_fewer(worker) || proxied_fewer(worker);
}

void upcalls_give(struct worker *w)
{
	struct base *base = &w->base;

	base->above = w;
	base->make_room = make_room;
	base->no_memory = no_memory;
	base->cut_moved = cut_moved;
	base->behind_changed = behind_changed;
	base->go_on = go_on;
	base->park = take_connection;
	base->touch = touch;
	base->fewer_parked = fewer_parked;
	base->unpark = unpark;
	base->move = ask_move;
	w->listeners.above = w;
	w->listeners.accepted = accepted;
	w->listeners.refuse_fewer = give_up_refused;
}

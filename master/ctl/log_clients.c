/*
 * Who is who. A place for each session number of each slot, as far as the table goes: those beyond share a place with others, and who comes later has it.
 */
#include <stdlib.h>
#include <string.h>

#include "master/ctl/log.h"

#define PLACES (1u << 17)		/* memory is taken for those that were used */

struct log_clients {
	struct log_client current;	/* what was returned last */
	struct log_client place[PLACES];
};

struct log_clients *log_clients_create(void)
{
	return calloc(1, sizeof(struct log_clients));
}

void log_clients_destroy(struct log_clients *clients)
{
	free(clients);
}

static struct log_client *place_of(struct log_clients *clients, const struct event_shm *event)
{
	return &clients->place[(event->session * 64u + event->slot) % PLACES];
}

static bool is(const struct log_client *client, const struct event_shm *event)
{
	return client->id.slot == event->slot && client->id.session == event->session && client->id.check == event->check;
}

/* A connection that has attached to a session has its token, and so another id, from here on. */
static bool was_attached(const struct log_client *client, const struct event_shm *event)
{
	return event->kind == EVENT_ATTACH && client->id.slot == event->slot && client->id.session == event->session;
}

const struct log_client *log_clients_learn(struct log_clients *clients, const struct event_shm *event)
{
	struct log_client *client;

	if (event->session == EVENT_NO_SESSION)
		return NULL;
	client = place_of(clients, event);
	if (!is(client, event) && !was_attached(client, event))
		client->peer.family = client->user_len = client->sub_len = 0;
	client->id = (struct client_id){ .slot = event->slot, .session = event->session, .check = event->check };
	if (event->family != EVENT_NOWHERE) {
		memcpy(client->peer.address, event->address, sizeof(client->peer.address));
		client->peer.port = event->port;
		client->peer.family = event->family;
	}
	if (event->kind == EVENT_LOGIN) {
		client->user_len = event->text_len;
		memcpy(client->user, event->text, event->text_len);
	}
	if (event->kind == EVENT_AUTH) {
		client->sub_len = event_sub(event) ? event->sub_len : 0;
		if (client->sub_len)
			memcpy(client->sub, event_sub(event), client->sub_len);
	}
	clients->current = *client;
	if (event->kind == EVENT_LOGOUT && client->user_len == event->text_len && memcmp(client->user, event->text, event->text_len) == 0)
		client->user_len = 0;
	if (event->kind == EVENT_PARK) {
		client->peer.family = EVENT_NOWHERE;
		client->sub_len = 0;
	}
	return &clients->current;
}

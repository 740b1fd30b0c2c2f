/*
 * A line of the log: for people with columns, or a JSON object. What clients have written is escaped as in JSON, so no terminal acts on it.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/ctl/log.h"

static const char *why_word(unsigned why)
{
	switch (why) {
	case EVENT_WHY_NOTHING: return NULL;
	case EVENT_WHY_PEER: return "peer_closed";
	case EVENT_WHY_RESET: return "peer_reset";
	case EVENT_WHY_DONE: return "done";
	case EVENT_WHY_GOODBYE: return "goodbye";
	case EVENT_WHY_MOVED: return "moved";
	case EVENT_WHY_TAKEN: return "taken_over";
	}
	for (unsigned i = 0; i < COUNTERS; i++)
		if (counters[i].number == why)
			return counters[i].name;
	return "unknown";
}

static const char *transport_word(const struct event_shm *event)
{
	return event->transport < TRANSPORTS ? transport_table[event->transport].word : NULL;
}

/* The address alone; *port, 0: it has none. NULL: it is not known. */
static const char *address_text(const struct event_peer *peer, char text[INET6_ADDRSTRLEN])
{
	if (peer->family == EVENT_UNIX)
		return "unix";
	if (peer->family != EVENT_IPV4 && peer->family != EVENT_IPV6)
		return NULL;
	return inet_ntop(peer->family == EVENT_IPV4 ? AF_INET : AF_INET6, peer->address, text, INET6_ADDRSTRLEN);
}

static struct event_peer peer_of_event(const struct event_shm *event, const struct log_client *client)
{
	struct event_peer peer = { .port = event->port, .family = event->family };

	memcpy(peer.address, event->address, sizeof(peer.address));
	return client && peer.family == EVENT_NOWHERE ? client->peer : peer;
}

static void put_time(struct sink *s, uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	char text[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	sink_text(s, text);
	sink_byte(s, '.');
	sink_digits(s, (unsigned)(us % 1000000), 6);
	sink_byte(s, 'Z');
}

/* Puts it, and spaces up to the width, one at least. */
static void put_column(struct sink *s, const char *text, size_t width)
{
	size_t len = strlen(text);

	sink_text(s, text);
	do
		sink_byte(s, ' ');
	while (++len < width + 1);
}

/* ---- for people ---- */

static void who(const struct event_shm *event, char text[CLIENT_ID_TEXT])
{
	struct client_id id = { event->slot, event->session, event->check };

	if (event->session != EVENT_NO_SESSION)
		client_id_write(text, &id);
	else if (event->slot < INDEX_SLOTS_MAX && event->kind != EVENT_REFUSE)
		snprintf(text, CLIENT_ID_TEXT, "slot %u", event->slot);
	else
		strcpy(text, event->kind == EVENT_REFUSE ? "-" : event->kind == EVENT_DATA ? "data" : event->kind == EVENT_NODES ? "bridge" : "master");
}

static void put_address(struct sink *s, const struct event_peer *peer)
{
	char ip[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
	const char *address = address_text(peer, ip);

	if (!address)
		address = "-";
	if (peer->port && peer->family == EVENT_IPV6)
		snprintf(text, sizeof(text), "[%s]:%u", address, peer->port);
	else if (peer->port && peer->family == EVENT_IPV4)
		snprintf(text, sizeof(text), "%s:%u", address, peer->port);
	else
		snprintf(text, sizeof(text), "%s", address);
	put_column(s, text, 21);
}

static void put_detail(struct sink *s, const struct event_shm *event)
{
	const char *transport = transport_word(event), *why = why_word(event->why);

	switch (event->kind) {
	case EVENT_CONNECT:
		sink_text(s, transport ? transport : "?");
		if (event->why == EVENT_WHY_MOVED) {
			sink_literal(s, ", from slot ");
			sink_number(s, event->n);
		} else if (event->why == COUNTER_adopted) {
			sink_literal(s, ", adopted");
		}
		return;
	case EVENT_STREAM:
		sink_text(s, transport ? transport : "?");
		return;
	case EVENT_MOVE:
		sink_literal(s, "to slot ");
		sink_number(s, event->n);
		return;
	case EVENT_DROP:
		sink_number(s, event->n);
		sink_literal(s, " of ");
		break;
	case EVENT_START: case EVENT_DEATH: case EVENT_HANDOVER: case EVENT_EMPTY:
		sink_number(s, event->n);
		sink_literal(s, " connections; ");
		break;
	}
	if (why) {
		sink_text(s, why);
		if (event->text_len)
			sink_literal(s, ": ");
	}
	sink_json(s, event->text, event->text_len);
}

/* Who has shown what: the event's own, as a request may be another one's than the connection's. NULL: nobody. */
static const char *sub_of(const struct event_shm *event, const struct log_client *client, size_t *len)
{
	*len = event_sub(event) ? event->sub_len : client ? client->sub_len : 0;
	return event_sub(event) ? event_sub(event) : *len ? client->sub : NULL;
}

/* (Quoted, so that no name can say what stands behind it.) */
static void put_quoted(struct sink *s, const char *what, const char *name, size_t len)
{
	sink_literal(s, "  ");
	sink_text(s, what);
	sink_literal(s, "=\"");
	sink_json(s, name, len);
	sink_byte(s, '"');
}

static void put_text(struct sink *s, const struct event_shm *event, const struct log_client *client)
{
	struct event_peer peer = peer_of_event(event, client);
	char id[CLIENT_ID_TEXT], kind[16];
	const char *sub;
	size_t len;

	snprintf(kind, sizeof(kind), "%s", log_kind_word(event->kind) ? log_kind_word(event->kind) : "unknown");
	put_time(s, event->time);
	sink_literal(s, "  ");
	put_column(s, kind, 11);
	who(event, id);
	put_column(s, id, 20);
	put_address(s, &peer);
	put_detail(s, event);
	if (client && client->user_len && event->kind != EVENT_LOGIN && event->kind != EVENT_LOGOUT) {
		sink_literal(s, "  user=");
		sink_json(s, client->user, client->user_len);
	}
	if (event_about_text(event))
		put_quoted(s, event_about_name(event->about), event_about_text(event), event->about_len);
	sub = sub_of(event, client, &len);
	if (sub)
		put_quoted(s, "sub", sub, len);
}

/* ---- JSON ---- */

static void put_member(struct sink *s, const char *name, const char *text, size_t len)
{
	sink_literal(s, ",\"");
	sink_text(s, name);
	sink_literal(s, "\":\"");
	sink_json(s, text, len);
	sink_byte(s, '"');
}

static void put_number(struct sink *s, const char *name, uint64_t n)
{
	sink_literal(s, ",\"");
	sink_text(s, name);
	sink_literal(s, "\":");
	sink_number(s, n);
}

static const char *text_member(unsigned kind)
{
	return kind == EVENT_DROP ? "topic" : kind == EVENT_LOGIN || kind == EVENT_LOGOUT ? "user" : "text";
}

/* What `n` is called; NULL: it means nothing. */
static const char *number_member(const struct event_shm *event)
{
	switch (event->kind) {
	case EVENT_CONNECT: return event->why == EVENT_WHY_MOVED ? "from_slot" : NULL;
	case EVENT_MOVE: return "to_slot";
	case EVENT_REFUSE: return event->n ? "code" : NULL;
	case EVENT_AUTH: return event->n ? "expires" : NULL;
	case EVENT_DROP: return "messages";
	case EVENT_START: case EVENT_DEATH: case EVENT_HANDOVER: case EVENT_EMPTY: return "connections";
	}
	return NULL;
}

static void put_json(struct sink *s, const struct event_shm *event, const struct log_client *client)
{
	struct event_peer peer = peer_of_event(event, client);
	const char *word = log_kind_word(event->kind), *address, *n = number_member(event);
	char text[INET6_ADDRSTRLEN], id[CLIENT_ID_TEXT];
	const char *sub;
	size_t len;

	sink_literal(s, "{\"time\":");
	sink_number(s, event->time);
	put_member(s, "kind", word ? word : "unknown", strlen(word ? word : "unknown"));
	if (event->slot < INDEX_SLOTS_MAX)
		put_number(s, "slot", event->slot);
	if (event->session != EVENT_NO_SESSION) {
		who(event, id);
		put_member(s, "client", id, strlen(id));
	}
	address = address_text(&peer, text);
	if (address)
		put_member(s, "address", address, strlen(address));
	if (address && peer.port)
		put_number(s, "port", peer.port);
	if (transport_word(event))
		put_member(s, "transport", transport_word(event), strlen(transport_word(event)));
	if (why_word(event->why) && event->kind != EVENT_CONNECT)
		put_member(s, "reason", why_word(event->why), strlen(why_word(event->why)));
	if (n)
		put_number(s, n, event->n);
	if (client && client->user_len && event->kind != EVENT_LOGIN && event->kind != EVENT_LOGOUT)
		put_member(s, "user", client->user, client->user_len);
	if (event_about_text(event))
		put_member(s, event->about == EVENT_ABOUT_USER ? "to_user" : event_about_name(event->about), event_about_text(event), event->about_len);
	sub = sub_of(event, client, &len);
	if (sub)
		put_member(s, "sub", sub, len);
	if (event->text_len)
		put_member(s, text_member(event->kind), event->text, event->text_len);
	sink_byte(s, '}');
}

void log_line_event(struct sink *s, bool json, const struct event_shm *event, const struct log_client *client)
{
	if (json)
		put_json(s, event, client);
	else
		put_text(s, event, client);
}

void log_line_message(struct sink *s, bool json, uint64_t time, const char *object, size_t len)
{
	if (json) {
		sink_literal(s, "{\"time\":");
		sink_number(s, time);
		sink_literal(s, ",\"kind\":\"publish\",\"message\":");
		sink_bytes(s, object, len);
		sink_byte(s, '}');
		return;
	}
	put_time(s, time);
	sink_literal(s, "  ");
	put_column(s, "publish", 11);
	sink_bytes(s, object, len);
}

void log_line_of_itself(struct sink *s, bool json, const char *what, uint64_t n, const char *text)
{
	if (!json) {
		sink_literal(s, "--- ");
		if (n) {
			sink_number(s, n);
			sink_byte(s, ' ');
		}
		sink_text(s, text);
		return;
	}
	sink_literal(s, "{\"kind\":\"");
	sink_text(s, what);
	sink_byte(s, '"');
	if (n)
		put_number(s, "n", n);
	put_member(s, "text", text, strlen(text));
	sink_byte(s, '}');
}

int log_lines_add(struct log_lines *lines, uint64_t time, void (*write)(struct sink *s, const void *of), const void *of)
{
	struct sink measure = { 0 }, s;
	char *text;

	if (lines->count == lines->room) {
		size_t room = lines->room ? 2 * lines->room : 256;
		struct log_entry *entry = realloc(lines->entry, room * sizeof(*entry));

		if (!entry)
			return -1;
		lines->entry = entry;
		lines->room = room;
	}
	write(&measure, of);
	text = malloc(measure.len + 1);
	if (!text)
		return -1;
	s = (struct sink){ .dst = text, .room = measure.len };
	write(&s, of);
	text[measure.len] = '\0';
	lines->entry[lines->count] = (struct log_entry){ .time = time, .order = lines->count, .text = text };
	lines->count++;
	return 0;
}

/*
 * What is wanted of the log.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/ctl/log.h"

#define LINES_MAX 1000000000ul

const char *log_kind_word(unsigned kind)
{
	switch (kind) {
#define EVENT(number, name, word, text) case EVENT_##name: return word;
#include "shm/event.def"
#undef EVENT
	case LOG_PUBLISH: return "publish";
	}
	return NULL;
}

static int usage(const char *option, const char *given, const char *what)
{
	fprintf(stderr, "janusctl: --%s %s: %s\n", option, given, what);
	return EXIT_USAGE;
}

static bool note_kind(struct log_filter *f, const char *word, size_t len)
{
	for (unsigned kind = 0; kind < LOG_KINDS; kind++) {
		const char *known = log_kind_word(kind);

		if (known && strlen(known) == len && memcmp(known, word, len) == 0)
			return f->kind[kind] = true;
	}
	return false;
}

/* KIND,... */
static int read_kinds(struct log_filter *f, const char *text)
{
	for (const char *at = text;; at++) {
		size_t len = strcspn(at, ",");

		if (!note_kind(f, at, len)) {
			fprintf(stderr, "janusctl: --kind: %.*s: no such kind; there are:", (int)len, at);
			for (unsigned kind = 0; kind < LOG_KINDS; kind++)
				if (log_kind_word(kind))
					fprintf(stderr, " %s", log_kind_word(kind));
			fprintf(stderr, "\n");
			return EXIT_USAGE;
		}
		at += len;
		if (!*at)
			return 0;
	}
}

/* ADDRESS, ADDRESS/BITS, IPv4:PORT, [IPv6]:PORT, unix */
static bool read_address(struct log_filter *f, const char *text)
{
	char copy[64], *host = copy, *port = NULL, *bits, *end;
	unsigned long n;

	if (strcmp(text, "unix") == 0) {
		f->address.family = EVENT_UNIX;
		return true;
	}
	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	if (*copy == '[') {
		host = copy + 1;
		end = strchr(host, ']');
		if (!end)
			return false;
		*end = '\0';
		port = end[1] == ':' ? end + 2 : NULL;
		if (end[1] && !port)
			return false;
	} else if (strchr(copy, ':') && strchr(copy, ':') == strrchr(copy, ':')) {
		port = strchr(copy, ':');
		*port++ = '\0';
	}
	bits = port ? NULL : strchr(host, '/');
	if (bits)
		*bits++ = '\0';
	if (inet_pton(AF_INET, host, f->address.address) == 1)
		f->address.family = EVENT_IPV4;
	else if (inet_pton(AF_INET6, host, f->address.address) == 1)
		f->address.family = EVENT_IPV6;
	else
		return false;
	f->bits = f->address.family == EVENT_IPV4 ? 32 : 128;
	if (!port && !bits)
		return true;
	n = strtoul(port ? port : bits, &end, 10);
	if (end == (port ? port : bits) || *end || n > (port ? 65535u : f->bits) || (port && n == 0))
		return false;
	if (port)
		f->address.port = (uint16_t)n;
	else
		f->bits = (unsigned)n;
	return true;
}

/* 30s, 10m, 2h, 1d: so long ago */
static bool read_since(struct log_filter *f, const char *text)
{
	uint64_t now = hub_now(), us;

	if (!ctl_span(text, &us))
		return false;
	us *= 1000000;
	f->since = us < now ? now - us : 0;
	return f->has_since = true;
}

int log_filter_read(struct log_filter *f, const struct ctl_arguments *args)
{
	const char *const *given = args->option;
	int rc;

	*f = (struct log_filter){ .all_kinds = !given[CTL_KIND], .user = given[CTL_USER], .topic = given[CTL_TOPIC], .sub = given[CTL_SUB] };
	if (given[CTL_KIND] && (rc = read_kinds(f, given[CTL_KIND])) != 0)
		return rc;
	if (given[CTL_CLIENT]) {
		if (client_id_read(&f->client, given[CTL_CLIENT]) < 0)
			return usage("client", given[CTL_CLIENT], "no client's id, which is like 0.117.9f3a22c1");
		f->has_client = true;
		client_id_write(f->client_text, &f->client);
	}
	if (given[CTL_ADDRESS] && !read_address(f, given[CTL_ADDRESS]))
		return usage("address", given[CTL_ADDRESS], "it takes ADDRESS, ADDRESS/BITS, ADDRESS:PORT or unix");
	if (given[CTL_SINCE] && !read_since(f, given[CTL_SINCE]))
		return usage("since", given[CTL_SINCE], "it takes how long ago, as 30s, 10m, 2h or 1d");
	f->publishes = f->all_kinds ? f->topic != NULL : f->kind[LOG_PUBLISH];
	return ctl_number(args, CTL_COUNT, "count", LINES_MAX, 0, &f->count);
}

/* Events have the first bytes of a long name. */
static bool same_name(const char *wanted, const char *name, size_t len)
{
	size_t n = strlen(wanted);

	return (n < EVENT_TEXT ? n : EVENT_TEXT) == len && memcmp(wanted, name, len) == 0;
}

/* By the event itself, or by what its client has shown before. */
static bool same_sub(const char *wanted, const struct event_shm *event, const struct log_client *client)
{
	const char *sub = event_sub(event) ? event_sub(event) : client && client->sub_len ? client->sub : NULL;
	size_t len = event_sub(event) ? event->sub_len : sub ? client->sub_len : 0, n = strlen(wanted);

	/* (One that is as long as there was room for is cut.) */
	return sub && (len == n || (len < n && (len == EVENT_SUB || len == EVENT_TEXT))) && memcmp(wanted, sub, len) == 0;
}

/* What a request was about that was refused. */
static bool is_about(const struct event_shm *event, enum event_about what, const char *wanted)
{
	return event_about_text(event) && event->about == what && same_name(wanted, event_about_text(event), event->about_len);
}

static bool same_address(const struct log_filter *f, const struct event_peer *peer)
{
	unsigned whole = f->bits / 8, rest = f->bits % 8;

	return peer->family == f->address.family && (f->address.port == 0 || f->address.port == peer->port) &&
	       memcmp(peer->address, f->address.address, whole) == 0 &&
	       (rest == 0 || (peer->address[whole] ^ f->address.address[whole]) >> (8 - rest) == 0);
}

static bool same_client(const struct log_filter *f, const struct event_shm *event)
{
	if (event->session == f->client.session && event->slot == f->client.slot && event->check == f->client.check)
		return true;
	/* "OLD took over TAKEN" */
	return event->kind == EVENT_ATTACH && memmem(event->text, event->text_len, f->client_text, strlen(f->client_text)) != NULL;
}

bool log_filter_wants(const struct log_filter *f, const struct event_shm *event, const struct log_client *client)
{
	struct event_peer own = { .port = event->port, .family = event->family };
	const struct event_peer *peer = client ? &client->peer : &own;

	memcpy(own.address, event->address, sizeof(own.address));
	if (!f->all_kinds && !f->kind[event->kind])
		return false;
	if (event->time < f->since)
		return false;
	if (f->topic && !(event->kind == EVENT_DROP && same_name(f->topic, event->text, event->text_len)) && !is_about(event, EVENT_ABOUT_TOPIC, f->topic))
		return false;
	if (f->has_client && !same_client(f, event))
		return false;
	if (f->user && !(client && same_name(f->user, client->user, client->user_len)) && !is_about(event, EVENT_ABOUT_USER, f->user))
		return false;
	if (f->sub && !same_sub(f->sub, event, client))
		return false;
	return f->address.family == EVENT_NOWHERE || same_address(f, peer);
}

/* Whether what is wanted, a topic or a pattern, fits the topic. */
static bool fits(const char *wanted, const char *name, size_t len)
{
	size_t n = strlen(wanted);
	char pattern[TOPIC_NAME_MAX];
	struct wildcard_topic topic;
	struct wildcard shape;

	if (n == len && memcmp(wanted, name, len) == 0)
		return true;
	if (n > TOPIC_NAME_MAX || !wildcard_read(wanted, n, &shape))
		return false;
	wildcard_divide(name, len, &topic);
	return wildcard_write(&shape, &topic, pattern, sizeof(pattern)) == n && memcmp(pattern, wanted, n) == 0;
}

bool log_filter_wants_message(const struct log_filter *f, const char *name, size_t len)
{
	bool inbox = len > 0 && *name == NAME_INBOX, all = len > 0 && *name == NAME_EVERYBODY;

	if (f->has_client || f->address.family != EVENT_NOWHERE)
		return false;		/* nobody knows who has published it */
	if (f->user)
		return inbox && !f->topic && strlen(f->user) == len - 1 && memcmp(f->user, name + 1, len - 1) == 0;
	return !f->topic || (!inbox && !all && fits(f->topic, name, len));
}

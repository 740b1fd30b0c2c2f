/*
 * janusctl clients and client: read from the slots' segments without asking anyone (shm/clients.h). What is kept of a client until it is known
 * whether it is shown is small; names and address are looked up for those that are shown, or where a filter asks for them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/ctl/ctl.h"
#include "master/ctl/first.h"
#include "master/ctl/peers.h"
#include "proto/sink.h"

#define TOP 100			/* clients shown */
#define TOP_MAX 1000000
#define NAMES_LISTED 64		/* of each client in a list; of one alone all are */
#define NAMES_TRIES 3		/* its subscriptions may change while they are read */

/* What the filters ask for; NULL or -1: anything. */
struct wanted {
	int group;
	int64_t slot;
	char name[TOPIC_NAME_MAX];	/* of a topic, or a user's inbox */
	size_t user_len, topic_len;
	char user[TOPIC_NAME_MAX];
	const char *sub;
	char address[PEER_TEXT];	/* "": anything */
	bool behind;
	int64_t idle;
};

struct view {
	struct hub hub;
	struct slot slots[INDEX_SLOTS_MAX];
	struct peers *peers;
	bool forbidden;			/* addresses can't be told, for want of privileges */
	uint32_t now;
};

static int by_lag(const void *one, const void *other)
{
	const struct client_info *a = one, *b = other;

	if (a->behind != b->behind)
		return a->behind ? -1 : 1;
	if (a->behind && a->lag != b->lag)
		return a->lag < b->lag ? 1 : -1;
	if (a->bytes_out != b->bytes_out)
		return a->bytes_out < b->bytes_out ? 1 : -1;
	if (a->slot != b->slot)
		return a->slot < b->slot ? -1 : 1;
	return a->session < b->session ? -1 : a->session > b->session;
}

/* ---- filters ---- */

static int read_group(const struct ctl_arguments *args, int *group)
{
	const char *text = args->option[CTL_TRANSPORT];

	*group = -1;
	if (!text)
		return 0;
	for (int g = 0; g < TRANSPORT_GROUPS; g++)
		if (strcmp(text, transport_group_key((enum transport_group)g)) == 0) {
			*group = g;
			return 0;
		}
	fprintf(stderr, "janusctl: --transport is one of");
	for (int g = 0; g < TRANSPORT_GROUPS; g++)
		fprintf(stderr, "%s %s", g ? "," : "", transport_group_key((enum transport_group)g));
	fprintf(stderr, "\n");
	return EXIT_USAGE;
}

static int read_wanted(const struct ctl_arguments *args, struct wanted *w)
{
	const char *user = args->option[CTL_USER], *topic = args->option[CTL_TOPIC];
	int rc = read_group(args, &w->group);

	w->behind = args->option[CTL_BEHIND] != NULL;
	w->sub = args->option[CTL_SUB];
	w->topic_len = topic ? strlen(topic) : 0;
	w->user_len = user ? strlen(user) + 1 : 0;
	if (rc == 0)
		rc = ctl_whole_number(args, CTL_SLOT, "slot", INDEX_SLOTS_MAX - 1, &w->slot);
	if (rc == 0)
		rc = ctl_whole_number(args, CTL_IDLE, "idle-more-than", INT32_MAX, &w->idle);
	if (rc)
		return rc;
	if (w->topic_len > TOPIC_NAME_MAX || w->user_len > TOPIC_NAME_MAX || (topic && !*topic) || (user && !*user)) {
		fprintf(stderr, "janusctl: a topic has 1 to %d bytes, a user %d\n", TOPIC_NAME_MAX, TOPIC_NAME_MAX - 1);
		return EXIT_USAGE;
	}
	*w->address = '\0';
	if (args->option[CTL_ADDRESS] && !peers_read(args->option[CTL_ADDRESS], w->address)) {
		fprintf(stderr, "janusctl: --address %s: it takes ADDRESS, IPv4:PORT, [IPv6]:PORT or unix\n", args->option[CTL_ADDRESS]);
		return EXIT_USAGE;
	}
	if (topic)
		memcpy(w->name, topic, w->topic_len);
	if (user) {
		w->user[0] = NAME_INBOX;
		memcpy(w->user + 1, user, w->user_len - 1);
	}
	return 0;
}

struct name_search {
	const struct wanted *wanted;
	bool topic, user;
};

static bool look_for(void *arg, const char *name, size_t len)
{
	struct name_search *s = arg;

	s->topic |= len == s->wanted->topic_len && memcmp(name, s->wanted->name, len) == 0;
	s->user |= len == s->wanted->user_len && memcmp(name, s->wanted->user, len) == 0;
	return !(s->topic && s->user);
}

static bool has_names(const struct view *v, const struct client_info *info, const struct wanted *w)
{
	struct name_search s;

	for (int tries = 0; tries < NAMES_TRIES; tries++) {
		s = (struct name_search){ .wanted = w, .topic = !w->topic_len, .user = !w->user_len };
		if ((s.topic && s.user) || clients_names(&v->hub, &v->slots[info->slot], info, look_for, &s))
			break;
	}
	return s.topic && s.user;
}

static bool has_sub(const struct view *v, const struct client_info *info, const char *sub)
{
	struct client_who who;

	clients_who(&v->slots[info->slot], info, &who);
	return who.sub_len == strlen(sub) && who.sub_len > 0 && memcmp(who.sub, sub, who.sub_len) == 0;
}

/* "" : it can't be told. */
static const char *address_of(struct view *v, const struct client_info *info)
{
	static char text[PEER_TEXT];
	uint32_t keeper = atomic_load_explicit(&v->hub.shm->slot[info->slot].keeper, memory_order_relaxed);

	if (info->behind_proxy.family != EVENT_NOWHERE)
		return peers_text(&info->behind_proxy, text);
	if (!v->peers && !(v->peers = peers_open())) {
		v->forbidden = true;
		return "";
	}
	if (info->parked)
		return "";
	if (peers_find(v->peers, keeper, info->session, text) == 0)
		return text;
	v->forbidden |= errno == EACCES || errno == EPERM;
	return "";
}

static bool fits(struct view *v, const struct client_info *info, const struct wanted *w)
{
	return (w->group < 0 || (int)transport_group(info->transport) == w->group) && (!w->behind || info->behind) &&
	       (w->idle < 0 || info->idle > w->idle) && has_names(v, info, w) && (!w->sub || has_sub(v, info, w->sub)) &&
	       (!*w->address || peers_fits(address_of(v, info), w->address));
}

/* Offers all clients that fit. How many there are. */
static uint64_t collect(struct view *v, const struct wanted *w, struct first *first)
{
	uint64_t all = 0;

	for (unsigned slot = 0; slot < INDEX_SLOTS_MAX; slot++) {
		uint32_t end = v->slots[slot].shm && (w->slot < 0 || slot == w->slot) ? clients_end(&v->slots[slot]) : 0;

		for (uint32_t session = 0; session < end; session++) {
			struct client_info info;

			if (!clients_read(&v->hub, &v->slots[slot], slot, session, v->now, &info) || !fits(v, &info, w))
				continue;
			all++;
			first_offer(first, &info);
		}
	}
	return all;
}

/* ---- output ---- */

/* Names of one client, as they stand in JSON: ["a","b"] each. */
struct names {
	char *text[2];			/* topics, users; grows */
	size_t len[2], room[2];
	unsigned count[2], most;
};

static void put_name(struct names *n, int which, const char *name, size_t len)
{
	char text[6 * TOPIC_NAME_MAX + 4];
	struct sink s = { .dst = text, .room = sizeof(text) };

	n->count[which]++;
	if (n->count[which] > n->most)
		return;
	sink_text(&s, n->count[which] > 1 ? ",\"" : "\"");
	sink_json(&s, name, len);
	sink_byte(&s, '"');
	if (n->len[which] + s.len + 1 > n->room[which]) {
		size_t room = 2 * (n->room[which] + s.len + 1);
		char *more = realloc(n->text[which], room);

		if (!more)
			return;
		n->text[which] = more;
		n->room[which] = room;
	}
	memcpy(n->text[which] + n->len[which], text, s.len);
	n->len[which] += s.len;
	n->text[which][n->len[which]] = '\0';
}

static bool note_name(void *arg, const char *name, size_t len)
{
	if (name[0] == NAME_INBOX)
		put_name(arg, 1, name + 1, len - 1);
	else if (name[0] != NAME_EVERYBODY)
		put_name(arg, 0, name, len);
	return true;
}

static void forget_names(struct names *n)
{
	free(n->text[0]);
	free(n->text[1]);
	*n = (struct names){ .most = n->most };
}

static void read_names(const struct view *v, const struct client_info *info, struct names *n)
{
	for (int tries = 0; tries < NAMES_TRIES; tries++) {
		forget_names(n);
		if (clients_names(&v->hub, &v->slots[info->slot], info, note_name, n))
			return;
	}
}

static const char *state_of(const struct client_info *info)
{
	return info->parked ? "parked" : info->ending ? "ending" : info->behind ? "behind" : "open";
}

static const char *id_of(const struct client_info *info)
{
	static char text[CLIENT_ID_TEXT];

	client_id_write(text, &(struct client_id){ info->slot, info->session, client_id_check(info->token) });
	return text;
}

/* As it stands in JSON; `nothing`: it has shown nothing, or nothing that says who it is. */
static const char *sub_of(const struct client_who *who, const char *nothing)
{
	static char text[6 * RIGHTS_SUB_MAX + 3];
	struct sink s = { .dst = text, .room = sizeof(text) - 1 };

	if (!who->sub_len)
		return nothing;
	sink_byte(&s, '"');
	sink_json(&s, who->sub, who->sub_len);
	sink_byte(&s, '"');
	text[s.len] = '\0';
	return text;
}

static void print_json(struct view *v, const struct client_info *info, unsigned names)
{
	struct names n = { .most = names };
	const char *address = address_of(v, info);
	struct client_who who;

	read_names(v, info, &n);
	clients_who(&v->slots[info->slot], info, &who);
	printf("{\"id\":\"%s\",\"slot\":%u,\"transport\":\"%s\",\"tls\":%s,\"state\":\"%s\",\"address\":", id_of(info), info->slot,
	       transport_group_key(transport_group(info->transport)), info->tls ? "true" : "false", state_of(info));
	printf(*address ? "\"%s\"" : "null", address);
	printf(",\"shown\":%s,\"sub\":%s,\"expires\":", who.shown ? "true" : "false", sub_of(&who, "null"));
	if (who.expires == INT64_MAX)
		printf("null");
	else
		printf("%" PRId64, who.expires);
	printf(",\"users\":[%s],\"users_count\":%u,\"topics\":[%s],\"topics_count\":%u", n.text[1] ? n.text[1] : "", n.count[1],
	       n.text[0] ? n.text[0] : "", n.count[0]);
	printf(",\"lag\":%" PRIu64 ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64 ",\"idle\":%" PRIu32, info->lag, info->bytes_in, info->bytes_out,
	       info->idle);
	if (info->age != CLIENT_UNKNOWN)
		printf(",\"since\":%" PRIu64 "}", hub_now() / 1000000 - info->age);
	else
		printf(",\"since\":null}");
	forget_names(&n);
}

static void print_line(struct view *v, const struct client_info *info)
{
	struct names n = { .most = 1 };
	const char *address = address_of(v, info);
	char age[16] = "-", transport[16];
	struct client_who who;

	read_names(v, info, &n);
	clients_who(&v->slots[info->slot], info, &who);
	snprintf(transport, sizeof(transport), "%s%s", transport_group_key(transport_group(info->transport)), info->tls ? "+tls" : "");
	if (info->age != CLIENT_UNKNOWN)
		snprintf(age, sizeof(age), "%" PRIu32, info->age);
	printf("%-18s  %-14s  %-6s  %-21s  %8" PRIu64 "  %10" PRIu64 "  %10" PRIu64 "  %7" PRIu32 "  %7s  ", id_of(info),
	       transport, state_of(info), *address ? address : "-", info->lag, info->bytes_in, info->bytes_out,
	       info->idle, age);
	printf("%-10s  ", sub_of(&who, "-"));
	printf("%s", n.count[1] ? n.text[1] : "-");
	printf(n.count[1] > 1 ? " and %u more  " : "  ", n.count[1] - 1);
	printf("%s", n.count[0] ? n.text[0] : "-");
	printf(n.count[0] > 1 ? " and %u more\n" : "\n", n.count[0] - 1);
	forget_names(&n);
}

static void print_one(struct view *v, const struct client_info *info)
{
	struct names n = { .most = UINT32_MAX };
	const char *address = address_of(v, info);
	struct client_who who;

	read_names(v, info, &n);
	clients_who(&v->slots[info->slot], info, &who);
	printf("id         %s\ntransport  %s (%s)%s\nstate      %s\naddress    %s\n", id_of(info), transport_group_text(transport_group(info->transport)),
	       transport_table[info->transport].word, info->tls ? " within TLS" : "", state_of(info), *address ? address : "not known");
	printf("sub        %s\n", sub_of(&who, who.shown ? "nobody in particular" : "nothing was shown"));
	if (who.expires != INT64_MAX)
		printf("expires    in %" PRId64 " s\n", who.expires - (int64_t)(hub_now() / 1000000));
	printf("users      %s\ntopics     %s\n", n.count[1] ? n.text[1] : "none", n.count[0] ? n.text[0] : "none");
	printf("lag        %" PRIu64 " messages\nin         %" PRIu64 " bytes\nout        %" PRIu64 " bytes\nidle       %" PRIu32 " s\n", info->lag,
	       info->bytes_in, info->bytes_out, info->idle);
	if (info->age != CLIENT_UNKNOWN)
		printf("connected  %" PRIu32 " s ago\n", info->age);
	forget_names(&n);
}

/* ---- the commands ---- */

static int open_view(const struct ctl_arguments *args, struct view *v)
{
	struct timespec ts;
	int rc;

	memset(v, 0, sizeof(*v));
	rc = ctl_open_hub(args, &v->hub);
	if (rc)
		return rc;
	rc = ctl_open_slots(args, v->slots);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	v->now = (uint32_t)ts.tv_sec;
	return rc;
}

static void close_view(struct view *v)
{
	if (v->forbidden)
		fprintf(stderr, "janusctl: addresses can't be told: that takes root, or the server's own user\n");
	peers_close(v->peers);
	ctl_close_slots(v->slots);
	if (v->hub.shm)
		hub_detach(&v->hub);
}

static void list(struct view *v, const struct client_info *found, size_t count, uint64_t all, bool json)
{
	if (json)
		printf("{\"clients\":[");
	else if (count)
		printf("%-18s  %-14s  %-6s  %-21s  %8s  %10s  %10s  %7s  %7s  %-10s  %s\n", "ID", "TRANSPORT", "STATE", "ADDRESS", "LAG", "BYTES IN", "BYTES OUT",
		       "IDLE", "SINCE", "SUB", "USER  TOPICS");
	for (size_t i = 0; i < count; i++) {
		if (json) {
			printf("%s", i ? "," : "");
			print_json(v, &found[i], NAMES_LISTED);
		} else {
			print_line(v, &found[i]);
		}
	}
	if (json)
		printf("],\"of\":%" PRIu64 "}\n", all);
	else if (all > count)
		printf("the first %zu of %" PRIu64 " clients\n", count, all);
	else if (all == 0)
		printf("no clients\n");
}

int ctl_clients(const struct ctl_arguments *args)
{
	static struct view v;
	struct wanted wanted = { 0 };
	struct first first = { 0 };
	unsigned long top;
	int rc = ctl_number(args, CTL_TOP, "top", TOP_MAX, TOP, &top);

	if (rc == 0)
		rc = read_wanted(args, &wanted);
	if (rc)
		return rc;
	rc = open_view(args, &v);
	if (rc == 0 && first_init(&first, sizeof(struct client_info), top, by_lag) < 0) {
		fprintf(stderr, "janusctl: clients: %s\n", strerror(errno));
		rc = EXIT_REFUSED;
	} else if (rc == 0) {
		uint64_t all = collect(&v, &wanted, &first);
		size_t count = first_found(&first);

		list(&v, first.list, count, all, args->json);
	}
	first_fini(&first);
	close_view(&v);
	return rc;
}

int ctl_client(const struct ctl_arguments *args)
{
	static struct view v;
	struct client_info info;
	struct client_id id;
	int rc;

	if (client_id_read(&id, args->operand[0]) < 0) {
		fprintf(stderr, "janusctl: %s is no client's id: janusctl clients shows them, as 0.117.9f3a22c1\n", args->operand[0]);
		return EXIT_USAGE;
	}
	rc = open_view(args, &v);
	if (rc == 0 && (id.slot >= INDEX_SLOTS_MAX || !v.slots[id.slot].shm || !clients_find(&v.hub, &v.slots[id.slot], &id, v.now, &info))) {
		fprintf(stderr, "janusctl: %s: no such client is there\n", args->operand[0]);
		rc = EXIT_REFUSED;
	} else if (rc == 0 && args->json) {
		print_json(&v, &info, UINT32_MAX);
		printf("\n");
	} else if (rc == 0) {
		print_one(&v, &info);
	}
	close_view(&v);
	return rc;
}

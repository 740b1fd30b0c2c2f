/*
 * janusctl topics: the topics with the most subscribers, read from the hub segment without asking anyone, and without its lock: a topic that comes or
 * goes meanwhile may be left out, or shown with numbers of before or after.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "master/ctl/ctl.h"
#include "master/ctl/first.h"
#include "proto/sink.h"
#include "shm/topics.h"

#define TOP 100			/* topics shown */
#define TOP_MAX 1000000

static int by_subscribers(const void *one, const void *other)
{
	const struct topic_weight *a = one, *b = other;

	if (a->subscribers != b->subscribers)
		return a->subscribers < b->subscribers ? 1 : -1;
	if (a->published != b->published)
		return a->published < b->published ? 1 : -1;
	return a->number < b->number ? -1 : a->number > b->number;
}

/* Offers all topics with this prefix. How many there are. */
static uint64_t collect(const struct hub *hub, const char *prefix, struct first *first)
{
	size_t prefix_len = strlen(prefix);
	struct topic_weight weight;
	uint64_t all = 0;

	for (uint32_t number = 1; number <= hub->index.shm->high; number++)
		if (topics_weigh(hub, number, prefix, prefix_len, &weight)) {
			all++;
			first_offer(first, &weight);
		}
	return all;
}

/* As in JSON: there is no byte in it that a terminal would act on. */
static const char *name_of(const struct topic_info *info)
{
	static char name[6 * TOPIC_NAME_MAX + 1];
	struct sink s = { .dst = name, .room = sizeof(name) };

	sink_json(&s, info->name, info->name_len);
	sink_byte(&s, '\0');
	return name;
}

static const char *transports_of(const struct hub *hub, const struct topic_info *info)
{
	static char text[512];
	uint64_t by_group[TRANSPORT_GROUPS];
	struct sink s = { .dst = text, .room = sizeof(text) };

	hub_subscribers_by_group(hub, info->number, by_group);
	transport_put_counts(&s, by_group);
	sink_byte(&s, '\0');
	return text;
}

static void print_json(const struct hub *hub, const struct topic_info *info, bool first)
{
	printf("%s{\"topic\":\"%s\",\"subscribers\":%" PRIu64 ",\"transports\":%s", first ? "" : ",", name_of(info), info->subscribers,
	       transports_of(hub, info));
	printf(",\"rate\":%" PRIu64 ".%02u,\"published\":%" PRIu64, info->rate / 1000, (unsigned)(info->rate % 1000 / 10), info->published);
	if (info->kept)
		printf(",\"history\":{\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", info->messages, info->bytes);
	printf("}");
}

static void print_text(const struct topic_info *info)
{
	printf("%11" PRIu64 "  %12" PRIu64 "  %8" PRIu64 ".%02u  ", info->subscribers, info->published, info->rate / 1000,
	       (unsigned)(info->rate % 1000 / 10));
	if (info->kept)
		printf("%9" PRIu64, info->messages);
	else
		printf("%9s", "-");
	printf("  %s\n", name_of(info));
}

static int list(const struct hub *hub, const char *prefix, unsigned top, bool json)
{
	uint64_t now = hub_now(), all;
	const struct topic_weight *found;
	struct first first;
	size_t count;
	bool printed = false;

	if (first_init(&first, sizeof(*found), top, by_subscribers) < 0)
		return -1;
	all = collect(hub, prefix, &first);
	count = first_found(&first);
	found = first.list;
	if (json)
		printf("{\"topics\":[");
	else if (count)
		printf("%11s  %12s  %11s  %9s  %s\n", "SUBSCRIBERS", "PUBLISHED", "A SECOND", "HISTORY", "TOPIC");
	for (size_t i = 0; i < count; i++) {
		struct topic_info info;

		if (!topics_read(hub, found[i].number, now, &info) || info.generation != found[i].generation)
			continue;	/* it has gone */
		if (json)
			print_json(hub, &info, !printed);
		else
			print_text(&info);
		printed = true;
	}
	if (json)
		printf("],\"of\":%" PRIu64 "}\n", all);
	else if (all > count)
		printf("the first %zu of %" PRIu64 " topics\n", count, all);
	else if (all == 0)
		printf("no topics\n");
	first_fini(&first);
	return 0;
}

int ctl_topics(const struct ctl_arguments *args)
{
	struct hub hub;
	unsigned long top;
	int rc = ctl_number(args, CTL_TOP, "top", TOP_MAX, TOP, &top);

	if (rc == 0)
		rc = ctl_open_hub(args, &hub);
	if (rc)
		return rc;
	if (list(&hub, args->operands ? args->operand[0] : "", (unsigned)top, args->json) < 0) {
		fprintf(stderr, "janusctl: topics: %s\n", strerror(errno));
		rc = EXIT_REFUSED;
	}
	hub_detach(&hub);
	return rc;
}

/*
 * GET /topics?prefix=&limit=&cursor=: the topics that there are.
 * GET /topics/TOPIC?nodes=all: one of them, on this node or with the subscribers of all.
 *
 * A request looks at no more than so many topics, whether they fit or not, and holds the hub lock for a few of them at a time. Where it
 * stops is the answer's `cursor`.
 */
#include <string.h>

#include "proto/sink.h"
#include "shm/nodes_ids.h"
#include "shm/topics.h"
#include "worker/delivery/stream.h"
#include "worker/protocol/http_routes.h"
#include "worker/service/access.h"
#include "worker/service/waiting.h"

#define LOOKS 16384			/* a request (topics_scan) */
#define LOOKS_LOCKED 128		/* while the lock is held */
#define SHOWN_LOCKED 16			/* topics that are copied meanwhile */
#define TOPICS_LIMIT 100
#define TOPICS_LIMIT_MAX 1000
#define ANSWER_BYTES (256 * 1024)	/* about */
#define TOPIC_BYTES (6 * TOPIC_NAME_MAX + 640)	/* one of them in the answer, at most */
#define ANSWER_REST 256			/* what stands behind them, at most */

static void put_count(struct sink *s, const char *before, uint64_t n)
{
	sink_text(s, before);
	sink_number(s, n);
}

/* The id of its newest message, which is in the ring, or in history. */
static void put_last(struct sink *s, const struct exchange *x, const struct topic_info *info)
{
	struct base *base = x->protocols->base;
	struct position id = { 0 };
	struct ring_record rec;

	hub_pin(&base->hub, base->number);
	if (atomic_load(&base->hub.shm->nodes.stream.epoch) && info->kept && info->last && stream_seek(base, info->number, info->generation, info->last, ring_tail(&base->hub.ring), 0, &rec) == 0 && rec.seq == info->last)
		id = nodes_id_of(&base->hub, &rec);
	hub_unpin(&base->hub, base->number);
	if (!id.epoch) {
		position_put_id(s, &base->epoch, info->last);
		return;
	}
	sink_byte(s, '"');
	position_put_at(s, id);
	sink_byte(s, '"');
}

/* (Of one that is not here its number is none's, and has no subscribers.) */
static void put_topic(struct sink *s, const struct exchange *x, const struct topic_info *info, const struct outcome *o)
{
	uint64_t by_group[TRANSPORT_GROUPS];

	sink_literal(s, "{\"topic\":\"");
	sink_json(s, info->name, info->name_len);
	put_count(s, "\",\"subscribers\":", info->subscribers);
	outcome_put_nodes(s, o);
	hub_subscribers_by_group(&x->protocols->base->hub, info->number, by_group);
	sink_literal(s, ",\"transports\":");
	transport_put_counts(s, by_group);
	put_count(s, ",\"rate\":", info->rate / 1000);
	sink_byte(s, '.');
	sink_digits(s, (unsigned)(info->rate % 1000 / 10), 2);
	put_count(s, ",\"published\":", info->published);
	sink_literal(s, ",\"last\":");
	put_last(s, x, info);
	if (info->kept) {
		put_count(s, ",\"history\":{\"messages\":", info->messages);
		put_count(s, ",\"bytes\":", info->bytes);
		sink_byte(s, '}');
	}
	sink_byte(s, '}');
}

static void answer(const struct exchange *x, const struct sink *s, struct outcome *o)
{
	struct http_answer answer = exchange_answer(x, 200, HTTP_JSON);

	answer.fields = "Cache-Control: no-store\r\n";
	exchange_reply(x, o, &answer, s->dst, s->len);
}

/* ---- one ---- */

static bool read_one(const struct exchange *x, const struct topic_name *name, struct topic_info *info)
{
	struct hub *hub = &x->protocols->base->hub;
	uint32_t owner = x->protocols->base->number + 1;
	bool there;

	lock_acquire(&hub->shm->lock, owner);
	there = topics_read(hub, index_find(&hub->index, index_hash(name->bytes, name->len), name->bytes, name->len), hub_now(), info);
	lock_release(&hub->shm->lock, owner);
	return there;
}

/* All nodes' subscribers, and of the rest what is here: nothing, if it is a topic of others. False: the request waits for them. */
static bool add_others(const struct exchange *x, const struct topic_name *name, bool there, struct topic_info *info, struct outcome *o)
{
	struct question_answer others;

	if (!waiting_held(x->protocols->service, x->c, name, &others))
		return false;
	if (!there) {
		memset(info, 0, offsetof(struct topic_info, name));
		info->name_len = name->len;
		memcpy(info->name, name->bytes, name->len);
	}
	info->subscribers += others.subscribers;
	outcome_count_nodes(o, &others);
	return true;
}

static void get_one(const struct exchange *x, struct http_text path)
{
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	char text[TOPIC_BYTES];
	struct sink s = { .dst = text, .room = sizeof(text) };
	struct topic_name name = { 0 };
	struct topic_info info;
	bool there, everywhere;

	if (names_have_parameter(x->req->query, "prefix") || names_have_parameter(x->req->query, "limit") || names_have_parameter(x->req->query, "cursor")) {
		exchange_error(x, 400, NULL, "one topic, or prefix, limit and cursor");
		return;
	}
	if (!names_one(x, path, true, "no topic: GET /topics/TOPIC or /topics?topic=TOPIC; all are GET /topics", &name))
		return;
	if (!parameter_nodes(x, &everywhere) || !exchange_may(x, RIGHT_PRESENCE, &name))
		return;
	there = read_one(x, &name, &info);
	if (everywhere && !add_others(x, &name, there, &info, &o))
		return;
	if (!there && !everywhere) {
		exchange_error(x, 404, NULL, "no such topic: nobody subscribes it, and it has no history");
		return;
	}
	put_topic(&s, x, &info, &o);
	sink_byte(&s, '\n');
	answer(x, &s, &o);
}

/* ---- all ---- */

/* Where the last answer ended. False: answered with an error. */
static bool read_scan(const struct exchange *x, char prefix[PARAMETER_MAX], struct topics_scan *scan, unsigned *limit)
{
	int len = parameter_read(x, MEMBER_PREFIX, prefix);

	*scan = (struct topics_scan){ .next = 1, .looks = LOOKS, .prefix = prefix, .prefix_len = len > 0 ? (size_t)len : 0 };
	*limit = TOPICS_LIMIT;
	return len != PARAMETER_BAD && parameter_number(x, MEMBER_LIMIT, 1, TOPICS_LIMIT_MAX, "limit is a number of topics, 1 to 1000", limit) &&
	       parameter_number(x, MEMBER_CURSOR, 1, UINT32_MAX, "cursor is none that an answer had", &scan->next);
}

/* The next topics, the lock being held for a short time. */
static unsigned scan_some(const struct exchange *x, struct topics_scan *scan, struct topic_info *infos, unsigned most)
{
	struct hub *hub = &x->protocols->base->hub;
	uint32_t owner = x->protocols->base->number + 1;
	struct topics_scan part = *scan;
	uint64_t now = hub_now();
	unsigned found;

	part.looks = scan->looks < LOOKS_LOCKED ? scan->looks : LOOKS_LOCKED;
	scan->looks -= part.looks;
	lock_acquire(&hub->shm->lock, owner);
	found = topics_scan(hub, &part, now, infos, most);
	lock_release(&hub->shm->lock, owner);
	scan->looks += part.looks;
	scan->next = part.next;
	return found;
}

/* (Of a topic that one may not look at, a list does not say that it is there.) */
static bool may_see(const struct exchange *x, const struct topic_info *info)
{
	const struct service *service = x->protocols->service;
	struct topic_name name = subscribe_topic_name(false, info->name, info->name_len);

	return access_gives(service, x->c->sid, access_rights(service, x->c->sid), RIGHT_PRESENCE, &name);
}

static void put_topics(struct sink *s, const struct exchange *x, struct topics_scan *scan, unsigned limit, const struct outcome *o)
{
	struct topic_info infos[SHOWN_LOCKED];
	size_t room = s->room < ANSWER_BYTES ? s->room : ANSWER_BYTES;
	unsigned shown = 0, found;

	while (scan->next && scan->looks && shown < limit && s->len + TOPIC_BYTES <= room) {
		size_t most = (room - s->len) / TOPIC_BYTES;

		most = most < SHOWN_LOCKED ? most : SHOWN_LOCKED;
		found = scan_some(x, scan, infos, limit - shown < most ? limit - shown : (unsigned)most);
		for (unsigned i = 0; i < found; i++) {
			if (!may_see(x, &infos[i]))
				continue;
			if (shown++)
				sink_byte(s, ',');
			put_topic(s, x, &infos[i], o);
		}
	}
}

static void get_all(const struct exchange *x)
{
	size_t room = x->protocols->base->scratch_room / 2;	/* the upper half, as the answer is made in the lower one */
	struct sink s = { .dst = x->protocols->base->scratch + room, .room = room - HTTP_ANSWER_MAX };
	char prefix[PARAMETER_MAX];
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	struct topics_scan scan;
	unsigned limit;

	if (names_have_parameter(x->req->query, "nodes")) {
		exchange_error(x, 400, NULL, "nodes is for one topic: GET /topics/TOPIC?nodes=all");
		return;
	}
	if (!read_scan(x, prefix, &scan, &limit))
		return;
	s.room -= ANSWER_REST;
	sink_literal(&s, "{\"topics\":[");
	put_topics(&s, x, &scan, limit, &o);
	s.room += ANSWER_REST;
	if (scan.next) {
		put_count(&s, "],\"more\":true,\"cursor\":\"", scan.next);
		sink_literal(&s, "\"}\n");
	} else {
		sink_literal(&s, "],\"more\":false}\n");
	}
	answer(x, &s, &o);
}

void get_topics(const struct exchange *x, struct http_text path)
{
	if (x->protocols->base->settings->topics == TOPICS_OFF && !exchange_is_admin(x))
		exchange_error(x, 403, NULL, "switched off (topics)");
	else if (path.p || names_have_parameter(x->req->query, "topic"))
		get_one(x, path);
	else
		get_all(x);
}

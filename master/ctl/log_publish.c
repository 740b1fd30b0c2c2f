/*
 * Messages, as the publish ring has them. Publishers do nothing for it: it is read as workers read it, but by a process that nobody waits for. So it may be overtaken,
 * which is counted. What nobody subscribes and history does not keep is not in the ring.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "master/ctl/log.h"
#include "proto/json.h"
#include "proto/web_message.h"

#define AT_ONCE 8192			/* records looked at before what was found is written */

/* The name of the record's entry in the index: a topic, a pattern, a user, or everybody. 0: it is gone. */
static size_t entry_name(const struct hub *hub, const struct ring_record *rec, char name[TOPIC_NAME_MAX])
{
	const struct topic_shm *t;
	size_t len;

	if (rec->topic == TOPIC_NONE || rec->topic > hub->index.shm->topics_max)
		return 0;
	t = index_topic(&hub->index, rec->topic);
	len = t->name_len;
	memcpy(name, t->name, len);
	/* acquire fence: the name was read before; whoever gives the entry to another topic counts the generation up first */
	atomic_thread_fence(memory_order_acquire);
	return t->generation == rec->generation ? len : 0;
}

/* The topic that the message itself names, for one that is in the ring for a pattern. 0: none. */
static size_t named_topic(const char *text, size_t len, char name[TOPIC_NAME_MAX])
{
	struct message_view view;
	ssize_t n;

	if (!message_view_parse(text, len, &view) || !message_is_string(view.topic))
		return 0;
	n = json_read_string(view.topic.p, view.topic.len, name, TOPIC_NAME_MAX);
	return n > 0 ? (size_t)n : 0;
}

struct message_line {
	bool json;
	uint64_t time;
	const char *object;
	size_t len;
};

static void write_line(struct sink *s, const void *of)
{
	const struct message_line *line = of;

	log_line_message(s, line->json, line->time, line->object, line->len);
}

/* The message as JSON, in memory of malloc(). NULL: it is no more what it was. */
static char *object_of(const struct hub *hub, const struct ring_record *rec, const char *text, enum message_to to, size_t *len)
{
	struct position_epoch epoch = position_epoch(hub->shm->epoch / 1000);
	struct web_record r = { .time = rec->time, .epoch = &epoch, .seq = rec->id, .to = to, .text = text, .len = rec->len };
	size_t size = web_message_size(WEB_JSON_LINES, false, &r);
	char *object = size ? malloc(size) : NULL;

	*len = object ? web_message(WEB_JSON_LINES, false, &r, object, size) : 0;
	if (*len)
		(*len)--;		/* the line's end */
	return object;
}

static void add(const struct log_source *source, const struct log_filter *f, bool json, const struct ring_record *rec, const char *text, struct log_lines *lines)
{
	struct message_line line = { .json = json, .time = rec->time };
	char name[TOPIC_NAME_MAX];
	size_t len = entry_name(&source->hub, rec, name);
	enum message_to to = len == 0 ? MESSAGE_TO_UNKNOWN : *name == NAME_INBOX ? MESSAGE_TO_USER : *name == NAME_EVERYBODY ? MESSAGE_TO_ALL : MESSAGE_TO_TOPIC;
	char *object;

	if (len == 0 || rec->flags & RING_ECHOED || index_is_pattern(name, len))
		len = named_topic(text, rec->len, name);
	if (!log_filter_wants_message(f, name, len) || rec->time < f->since)
		return;
	object = object_of(&source->hub, rec, text, to, &line.len);
	line.object = object;
	if (line.len)
		log_lines_add(lines, rec->time, write_line, &line);
	free(object);
}

/* Whether the record may be wanted, as far as that can be told without its text. */
static bool may_be_wanted(const struct log_source *source, const struct log_filter *f, const struct ring_record *rec)
{
	char name[TOPIC_NAME_MAX];
	size_t len;

	if (rec->flags & RING_ECHO)
		return false;		/* the message's own record says it */
	if (rec->flags & RING_ECHOED)
		return true;
	len = entry_name(&source->hub, rec, name);
	return len == 0 || index_is_pattern(name, len) || log_filter_wants_message(f, name, len);
}

bool log_publish_read(struct log_source *source, const struct log_filter *f, bool json, struct log_lines *lines)
{
	struct ring *ring = &source->hub.ring;
	uint64_t tail = ring_tail(ring), oldest = ring_oldest(ring);
	static char *text;
	static size_t room;

	if (source->next_message < oldest) {
		source->lost += oldest - source->next_message;
		source->next_message = oldest;
	}
	for (unsigned i = 0; i < AT_ONCE && source->next_message < tail; i++) {
		struct ring_record rec;

		if (ring_read(ring, source->next_message++, &rec) < 0) {
			source->lost++;
			continue;
		}
		if (!may_be_wanted(source, f, &rec))
			continue;
		if (rec.len > room) {
			char *more = realloc(text, rec.len);

			if (!more)
				continue;
			text = more;
			room = rec.len;
		}
		if (ring_copy(ring, &rec, text) < 0)
			source->lost++;
		else
			add(source, f, json, &rec, text, lines);
	}
	return source->next_message < tail;
}

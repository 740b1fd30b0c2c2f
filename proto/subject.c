/*
 * Topics as subjects. See subject.h.
 */
#include "proto/subject.h"

#include <string.h>

#include "proto/message.h"
#include "proto/presence.h"
#include "proto/sink.h"
#include "proto/wildcard.h"

#define EMPTY_PART '%'
#define NOT_WRITTEN_SO "no name is written so as a subject, or it is too long"
static const char capitals[] = "0123456789ABCDEF";

const char *subject_prefix_error(const char *prefix)
{
	size_t len = strlen(prefix);

	if (len == 0 || len > SUBJECT_PREFIX_MAX)
		return "it has 1 to 64 characters";
	if (strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != len)
		return "it has letters, digits, -, _ and dots alone";
	if (*prefix == '.' || prefix[len - 1] == '.' || strstr(prefix, ".."))
		return "nothing stands before or behind a dot";
	return NULL;
}

/* Whether a token can't have the byte. */
static bool is_escaped(uint8_t c)
{
	return c <= 0x20 || c == 0x7f || c == '*' || c == '>' || c == '%';
}

static void put_escaped(struct sink *s, const char *p, size_t len, bool dots)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)p[i];

		if (is_escaped(c) || (dots && c == '.'))
			sink_bytes(s, (const char[3]){ '%', capitals[c >> 4], capitals[c & 15] }, 3);
		else
			sink_byte(s, (char)c);
	}
}

static void put_part(struct sink *s, const char *p, size_t len)
{
	if (len == 0)
		sink_byte(s, EMPTY_PART);
	else if (len == 1 && (*p == '*' || *p == '>'))
		sink_byte(s, *p);	/* (topics have no such part) */
	else
		put_escaped(s, p, len, false);
}

static void put_topic(struct sink *s, const char *name, size_t len)
{
	const char *end = name + len, *dot;

	for (; (dot = memchr(name, '.', (size_t)(end - name))) != NULL; name = dot + 1) {
		put_part(s, name, (size_t)(dot - name));
		sink_byte(s, '.');
	}
	put_part(s, name, (size_t)(end - name));
}

/* The longest of them fits, so there is always room. */
static size_t terminate(struct sink *s)
{
	sink_byte(s, '\0');
	return s->len - 1;
}

size_t subject_write(char dst[SUBJECT_MAX], enum message_to to, const char *name, size_t len)
{
	struct sink s = { .dst = dst, .room = SUBJECT_MAX };

	if (to == MESSAGE_TO_TOPIC) {
		sink_literal(&s, "topic.");
		put_topic(&s, name, len);
	} else if (to == MESSAGE_TO_USER) {
		sink_literal(&s, "inbox.");
		put_escaped(&s, name, len, true);
	} else {
		sink_literal(&s, "broadcast");
	}
	return terminate(&s);
}

size_t subject_write_token(char dst[SUBJECT_MAX], const char *word, size_t len)
{
	struct sink s = { .dst = dst, .room = SUBJECT_MAX };

	put_escaped(&s, word, len, true);
	return terminate(&s);
}

/* A digit of capital hex, -1: it is none. */
static int digit(char c)
{
	const char *at = c ? strchr(capitals, c) : NULL;

	return at ? (int)(at - capitals) : -1;
}

/* The byte that stands at *p, which is moved behind it; -1: it is none, or is not written so. */
static int take_byte(const char **p, bool dots)
{
	int c = (uint8_t)*(*p)++, high, low;

	if (c != '%')
		return is_escaped((uint8_t)c) || (dots && c == '.') ? -1 : c;
	if ((high = digit((*p)[0])) < 0 || (low = digit((*p)[1])) < 0)
		return -1;
	*p += 2;
	c = high << 4 | low;
	return is_escaped((uint8_t)c) || (dots && c == '.') ? c : -1;
}

/* False: no name is written so, or it is longer than any. */
static bool take_name(const char *p, bool dots, struct subject_name *name)
{
	bool begins = true;
	size_t len = 0;
	int c;

	while (*p) {
		if (!dots && begins && *p == EMPTY_PART && (p[1] == '.' || p[1] == '\0')) {
			p++;
			begins = false;
			continue;
		}
		if (!dots && begins && *p == '.')
			return false;
		if ((c = take_byte(&p, dots)) < 0 || len == sizeof(name->name))
			return false;
		begins = c == '.';
		name->name[len++] = (char)c;
	}
	name->len = (uint8_t)len;
	return dots || !begins;
}

static const char *topic_error(const struct subject_name *name)
{
	const char *error = message_topic_error(name->name, name->len);

	if (error == NULL && wildcard_in(name->name, name->len))
		error = NAME_IS_PATTERN;
	if (error == NULL && presence_in(name->name, name->len))
		error = NAME_IS_PRESENCE;
	return error;
}

const char *subject_read_token(const char *token, struct subject_name *name)
{
	name->to = MESSAGE_TO_TOPIC;
	name->len = 0;
	return take_name(token, true, name) ? message_topic_error(name->name, name->len) : NOT_WRITTEN_SO;
}

const char *subject_read(const char *subject, struct subject_name *name)
{
	bool user = strncmp(subject, "inbox.", 6) == 0;

	name->len = 0;
	name->to = MESSAGE_TO_ALL;
	if (strcmp(subject, "broadcast") == 0)
		return NULL;
	if (!user && strncmp(subject, "topic.", 6) != 0)
		return "the subject is no topic's and no user's";
	name->to = user ? MESSAGE_TO_USER : MESSAGE_TO_TOPIC;
	if (!take_name(subject + 6, user, name))
		return NOT_WRITTEN_SO;
	return user ? message_user_error(name->name, name->len) : topic_error(name);
}

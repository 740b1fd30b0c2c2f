/*
 * Settings that are rules by topic: pieces of text, and which topics a rule is for.
 *
 *   history = news.*: 100 messages, 1h; @*: 10 messages        slow = ticker.*: latest; *: skip
 *
 * Rules are divided by `;`. What stands before a rule's last `:` is its pattern: a topic, or how topics begin with a `*` behind it. `@bob` is what a
 * user is sent, `@*` what all users are; a pattern without @ stands for topics alone. The first rule whose pattern fits counts.
 */
#ifndef SHM_TOPIC_PATTERN_H
#define SHM_TOPIC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct topic_pattern {
	uint16_t at, len;		/* where it begins in the setting's text, without @ and *, and its length */
	uint8_t prefix, user;		/* 1: it ended in *; it began with @ */
};

/* A piece of the text, without blanks around it. */
struct text_piece {
	const char *p;
	size_t len;
};

struct text_piece text_piece(const char *p, size_t len);
bool text_piece_is(struct text_piece piece, const char *word);
/* Cuts off what stands before the next `divider`. False: nothing is left. */
bool text_piece_next(struct text_piece *rest, char divider, struct text_piece *piece);
/* error[size] becomes: `the piece` why. Returns -1. */
int text_piece_error(char *error, size_t size, struct text_piece piece, const char *why);

/* Reads what stands before the rule's `:`, *behind becomes what stands behind it. `text`: where the setting begins. NULL, or what is wrong with
 * it; "" if there is no `:`. */
const char *topic_pattern_read(struct topic_pattern *pattern, struct text_piece rule, const char *text, struct text_piece *behind);

/* Whether the name, in the index (users: behind NAME_INBOX), is one of them. That of the topic that all connections have is none. */
bool topic_pattern_fits(const struct topic_pattern *pattern, const char *text, const char *name, size_t len);

#endif

/*
 * Which topics a rule is for. See topic_pattern.h.
 */
#include "shm/topic_pattern.h"

#include <stdio.h>
#include <string.h>

#include "shm/index.h"

#define SHOWN 80	/* bytes of a rule that an error quotes at most */

struct text_piece text_piece(const char *p, size_t len)
{
	for (; len && (*p == ' ' || *p == '\t'); len--)
		p++;
	while (len && (p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	return (struct text_piece){ p, len };
}

bool text_piece_is(struct text_piece piece, const char *word)
{
	return piece.len == strlen(word) && memcmp(piece.p, word, piece.len) == 0;
}

bool text_piece_next(struct text_piece *rest, char divider, struct text_piece *piece)
{
	const char *end;

	if (!rest->p)
		return false;
	end = memchr(rest->p, divider, rest->len);
	*piece = text_piece(rest->p, end ? (size_t)(end - rest->p) : rest->len);
	if (end) {
		rest->len -= (size_t)(end + 1 - rest->p);
		rest->p = end + 1;
	} else {
		rest->p = NULL;
	}
	return true;
}

int text_piece_error(char *error, size_t size, struct text_piece piece, const char *why)
{
	snprintf(error, size, "`%.*s` %s", (int)(piece.len < SHOWN ? piece.len : SHOWN), piece.p, why);
	return -1;
}

const char *topic_pattern_read(struct topic_pattern *pattern, struct text_piece rule, const char *text, struct text_piece *behind)
{
	const char *colon = memrchr(rule.p, ':', rule.len);
	struct text_piece piece;

	if (!colon)
		return "";
	*behind = text_piece(colon + 1, rule.len - (size_t)(colon + 1 - rule.p));
	piece = text_piece(rule.p, (size_t)(colon - rule.p));
	pattern->user = piece.len > 0 && piece.p[0] == '@';
	piece.p += pattern->user;
	piece.len -= pattern->user;
	pattern->prefix = piece.len > 0 && piece.p[piece.len - 1] == '*';
	piece.len -= pattern->prefix;
	if (piece.len == 0 && !pattern->prefix)
		return "has no topic before the :";
	if (memchr(piece.p, '*', piece.len))
		return "has a * elsewhere than at the end of a topic";
	if (piece.len > TOPIC_NAME_MAX)
		return "has a topic that is too long";
	pattern->at = (uint16_t)(piece.p - text);
	pattern->len = (uint16_t)piece.len;
	return NULL;
}

bool topic_pattern_fits(const struct topic_pattern *pattern, const char *text, const char *name, size_t len)
{
	bool user = len > 0 && name[0] == NAME_INBOX;

	if (len == 0 || (!user && (unsigned char)name[0] < ' ') || pattern->user != user)
		return false;
	name += user;
	len -= user;
	return (pattern->prefix ? len >= pattern->len : len == pattern->len) && memcmp(name, text + pattern->at, pattern->len) == 0;
}

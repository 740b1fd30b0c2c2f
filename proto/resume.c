/*
 * What of the past a subscriber asks for. See resume.h.
 */
#include "proto/resume.h"

#define ONE "since or last: one of them"

const char *resume_since(struct resume *resume, const char *text, size_t len)
{
	if (resume->kind != RESUME_NOT)
		return ONE;
	if (!position_read(text, len, &resume->since))
		return "since is no position: it is the id of a message, or the position of an answer";
	resume->kind = RESUME_SINCE;
	return NULL;
}

const char *resume_last_event(struct resume *resume, const char *text, size_t len)
{
	if (resume->kind != RESUME_NOT)
		return ONE;
	if (!position_read(text, len, &resume->since))
		resume->since = (struct position){ 0 };
	resume->kind = RESUME_SINCE;
	return NULL;
}

const char *resume_last(struct resume *resume, uint64_t count)
{
	if (resume->kind != RESUME_NOT)
		return ONE;
	if (count < 1 || count > RESUME_LAST_MAX)
		return "last is a number of messages, 1 to 1000";
	resume->kind = RESUME_LAST;
	resume->last = (uint32_t)count;
	return NULL;
}

const char *resume_last_text(struct resume *resume, const char *text, size_t len)
{
	uint64_t count = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || count > RESUME_LAST_MAX)
			return resume_last(resume, 0);
		count = 10 * count + (uint64_t)(text[i] - '0');
	}
	return resume_last(resume, count);
}

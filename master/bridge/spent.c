/*
 * Messages that are done with. See spent.h.
 */
#include "master/bridge/spent.h"

#define BYTES_MAX (1u << 20)

void spent_add(struct spent *s, natsMsg *msg)
{
	if (msg == NULL)
		return;
	s->msg[s->count++] = msg;
	s->bytes += (size_t)natsMsg_GetDataLength(msg);
	if (s->count == SPENT_MAX || s->bytes >= BYTES_MAX)
		spent_free(s);
}

void spent_free(struct spent *s)
{
	for (unsigned i = 0; i < s->count; i++)
		natsMsg_Destroy(s->msg[i]);
	s->count = 0;
	s->bytes = 0;
}

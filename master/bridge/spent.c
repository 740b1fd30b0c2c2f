/*
 * Messages that are done with. See spent.h.
 */
#include "master/bridge/spent.h"

#include "proto/nats_message.h"

#define BYTES_MAX (1u << 20)

void spent_add(struct spent *s, natsMsg *msg)
{
	if (msg == NULL)
		return;
	/* The header of all that nodes send is freed here, where the next one's is made: what another thread frees, malloc() does not have at hand. */
	natsMsgHeader_Delete(msg, NATS_HEADER_ORIGIN);
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

/*
 * A record of the ring as a protocol sends it.
 */
#include "proto/flash.h"
#include "worker/worker.h"

size_t frame_size(int proto, const struct ring_record *rec)
{
	(void)proto;
	return flash_message_size(rec->time, rec->len);
}

int frame_write(const struct worker *w, int proto, const struct ring_record *rec, char *dst)
{
	(void)proto;
	flash_message(dst, rec->time, ring_peek(&w->hub.ring, rec), rec->len);
	return ring_holds(&w->hub.ring, rec->seq) ? 0 : -1;
}

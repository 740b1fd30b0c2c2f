/*
 * A record of the ring as a transport sends it.
 */
#include <assert.h>

#include "proto/flash.h"
#include "proto/packet.h"
#include "proto/web_message.h"
#include "shm/crash.h"
#include "worker/worker.h"

static const struct {
	enum web_format format;
	bool chunked;
} web[TRANSPORTS] = {
	[TRANSPORT_FLASH] = { WEB_FLASH, false },
	[TRANSPORT_WEBSOCKET] = { WEB_WEBSOCKET, false },
	[TRANSPORT_WEBSOCKET_STREAM] = { WEB_WEBSOCKET_RAW, false },
	[TRANSPORT_SSE] = { WEB_SSE, true },
	[TRANSPORT_SSE_10] = { WEB_SSE, false },
	[TRANSPORT_COMET] = { WEB_COMET, true },
	[TRANSPORT_COMET_10] = { WEB_COMET, false },
	[TRANSPORT_PAGE] = { WEB_TEST, true },
	[TRANSPORT_PAGE_10] = { WEB_TEST, false },
};

static struct web_record record_of(const struct worker *w, uint32_t page_base, const struct ring_record *rec)
{
	return (struct web_record){
		.time = rec->time,
		.id = rec->seq,
		.number = (uint32_t)rec->number - page_base,
		.text = ring_peek(&w->hub.ring, rec),
		.len = rec->len,
	};
}

/* No text begins with a byte 0 (message_view.h). */
static bool is_text(const struct web_record *r)
{
	return r->text[0] != '\0';
}

size_t frame_size(const struct worker *w, uint32_t transport, uint32_t page_base, const struct ring_record *rec)
{
	struct web_record r = record_of(w, page_base, rec);
	size_t size;

	assert(transport != TRANSPORT_HTTP);
	if (transport == TRANSPORT_FLASH && is_text(&r))
		return flash_message_size(r.time, r.len);
	size = transport == TRANSPORT_PACKET ? packet_message_size(&r) : web_message_size(web[transport].format, web[transport].chunked, &r);
	return ring_holds(&w->hub.ring, rec->seq) ? size : 0;
}

int frame_write(const struct worker *w, uint32_t transport, uint32_t page_base, const struct ring_record *rec, char *dst, size_t size)
{
	struct web_record r = record_of(w, page_base, rec);
	size_t n;

	CRASH_ON_RECORD(r.text, r.len);
	if (transport == TRANSPORT_FLASH && is_text(&r) && size == flash_message_size(r.time, r.len))
		n = flash_message(dst, r.time, r.text, r.len);
	else if (transport == TRANSPORT_PACKET)
		n = packet_message(&r, dst, size);
	else
		n = web_message(web[transport].format, web[transport].chunked, &r, dst, size);
	return n == size && ring_holds(&w->hub.ring, rec->seq) ? 0 : -1;
}

bool frame_is_own(uint32_t transport)
{
	return transport == TRANSPORT_PAGE || transport == TRANSPORT_PAGE_10;
}

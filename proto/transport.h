/*
 * How a connection speaks at the moment, by number. A connection to an HTTP listener begins as TRANSPORT_HTTP and may become a stream of one
 * of the kinds below. What a message looks like in each: web_message.h, packet_message(), flash_message().
 */
#ifndef PROTO_TRANSPORT_H
#define PROTO_TRANSPORT_H

/* Kept in shared memory: a change goes with another HUB_LAYOUT. *_10 are for HTTP/1.0, which has no chunks. */
enum transport {
	TRANSPORT_FLASH,
	TRANSPORT_PACKET,
	TRANSPORT_HTTP,			/* between requests, or within one: no messages */
	TRANSPORT_WEBSOCKET,		/* with actions */
	TRANSPORT_WEBSOCKET_STREAM,	/* takes nothing but control frames */
	TRANSPORT_SSE, TRANSPORT_SSE_10,
	TRANSPORT_COMET, TRANSPORT_COMET_10,
	TRANSPORT_PAGE, TRANSPORT_PAGE_10,
	TRANSPORTS
};

/* What janusctl counts together. */
enum transport_group { GROUP_FLASH, GROUP_PACKET, GROUP_HTTP, GROUP_WEBSOCKET, GROUP_SSE, GROUP_COMET, GROUP_PAGE, TRANSPORT_GROUPS };

static inline enum transport_group transport_group(unsigned transport)
{
	static const unsigned char group[TRANSPORTS] = {
		GROUP_FLASH, GROUP_PACKET, GROUP_HTTP, GROUP_WEBSOCKET, GROUP_WEBSOCKET, GROUP_SSE, GROUP_SSE, GROUP_COMET, GROUP_COMET,
		GROUP_PAGE, GROUP_PAGE,
	};

	return (enum transport_group)group[transport];
}

#endif

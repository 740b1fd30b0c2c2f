/*
 * A message of the ring as the transports of the web send it.
 *
 *   WEB_WEBSOCKET      one text frame: {"id":"ihegr977-7","timestamp":1448434925395864,"topic":"events","data":"test"}
 *   WEB_WEBSOCKET_RAW  the same; but a binary record is one binary frame that holds its data and nothing else
 *   WEB_SSE            id: ihegr977-7 / event: test_event / data: test / empty line
 *   WEB_SSE_JSON       the same, and the data is the JSON object of WEB_WEBSOCKET
 *   WEB_JSON_LINES          the JSON object of WEB_WEBSOCKET and a line feed; none within it
 *   WEB_TEST           Recvd msg #7: 'test'<br> CR LF, the text escaped for HTML
 *
 *   WEB_FLASH          the flash socket's frame, for binary records; flash_message() makes it faster of others
 *
 * `id` is the record's position (position.h), or what a record of the stream says itself; the timestamp microseconds since 1970. A message to a user has `user` where the record has `to`. Members that
 * the server alone may say are left out if a publisher of the flash socket has given them (message_name_goes()); flash sends them.
 *
 * SSE: the event line is there if the member `event` is a string that is not empty and has no line break or U+0000 in it. The data is
 * what the member `data` stands for if that is a string, a data line for each of its lines (ended by CR LF, CR or LF); else its JSON
 * text, in one line; the whole object if there is no such member; a binary record's data in base64. WEB_TEST shows the same.
 *
 * The encoders may run over a record in the ring that is being overwritten (see message_view.h): no byte is written outside dst[0..room).
 */
#ifndef PROTO_WEB_MESSAGE_H
#define PROTO_WEB_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message_view.h"
#include "proto/position.h"

enum web_format { WEB_WEBSOCKET, WEB_WEBSOCKET_RAW, WEB_SSE, WEB_SSE_JSON, WEB_JSON_LINES, WEB_TEST, WEB_FLASH };

struct web_record {
	uint64_t time;		/* microseconds since 1970 */
	const struct position_epoch *epoch;	/* with the sequence, the message's id */
	uint64_t seq;		/* 0: it is no record of the ring, and has no id */
	uint64_t number;	/* what WEB_TEST counts with */
	enum message_to to;	/* as the hub's name of the topic says. UNKNOWN: it has gone; then the record's members must say it */
	const char *text;	/* message.h's text, or what message_view.h says of records that are more */
	size_t len;
};

static inline enum message_to web_record_to(const struct web_record *rec, const struct message_view *view)
{
	return view->goes_to != MESSAGE_TO_UNKNOWN ? view->goes_to : rec->to;
}

/* Exactly what web_message() writes. `chunked`: framed as one chunk of HTTP/1.1; means nothing for WebSocket. 0: the record is broken,
 * which happens only if it was overwritten, or nobody knows any more whom it is to. */
size_t web_message_size(enum web_format format, bool chunked, const struct web_record *rec);

/* Returns the length; 0 if it does not fit into dst[0..room), or the record is broken or changed meanwhile. */
size_t web_message(enum web_format format, bool chunked, const struct web_record *rec, char *dst, size_t room);

/*
 * Heartbeats.
 *
 * No empty line is sent that ends no event: there are clients that take it for an empty one. And none among JSON lines, where it would be a line
 * that is no JSON: a space in front of the next object is nothing to any parser.
 */
#define SSE_HEARTBEAT ":\n"
#define SSE_HEARTBEAT_CHUNK "2\r\n:\n\r\n"
#define JSON_LINES_HEARTBEAT " "
#define JSON_LINES_HEARTBEAT_CHUNK "1\r\n \r\n"
#define WEB_CHUNK_EXTRA 20	/* what a chunk has beside its content, at most */

/*
 * What precedes the first message: where the stream starts. Not of WEB_TEST and WEB_FLASH. Returns its length, 0: no room.
 *
 *   WEB_WEBSOCKET, _RAW, WEB_JSON_LINES   {"ok":true,"position":"ihegr977-6"}
 *   WEB_SSE, _JSON                        retry: 2000 / id: ihegr977-6 / empty line
 *
 * An SSE client waits `retry` milliseconds before it connects again, and then says the last id, be it that of no event. (An id counts from the
 * empty line on. This is the one that ends no event.)
 */
size_t web_start(enum web_format format, bool chunked, const struct position_start *start, uint32_t retry, char *dst, size_t room);

/*
 * How many messages a subscriber has lost. Not of WEB_TEST and WEB_FLASH. It is no message, and has no id. Returns its length, 0: no room.
 *
 *   {"missed":{"topic":"news","messages":4243}}   of a user `user`, of broadcasts "broadcast":true in place of the topic
 *   WEB_SSE, _JSON                                event: missed / data: that / empty line
 */
struct transport_missed;
size_t web_missed(enum web_format format, bool chunked, const struct transport_missed *missed, char *dst, size_t room);

/* Any bytes (len > 0) as one chunk. Returns its length, 0: no room. */
size_t web_chunk(char *dst, size_t room, const char *bytes, size_t len);

#endif

/*
 * The beginnings of what is spoken. (A TLS connection begins with a record of type 22, which is no character that any of the others begins with.)
 */
#include "proto/stranger.h"

#include <stdbool.h>
#include <string.h>

#define LONGEST 4

static const struct beginning {
	char bytes[LONGEST];
	unsigned len;
	enum stranger stranger;
} beginnings[] = {
	{ "\x16", 1, STRANGER_TLS },
	{ "{", 1, STRANGER_JSON }, { "[", 1, STRANGER_JSON },
	{ "<reg", 4, STRANGER_FLASH }, { "PING", 4, STRANGER_FLASH }, { "PONG", 4, STRANGER_FLASH }, { "PUBL", 4, STRANGER_FLASH },
	{ "GET ", 4, STRANGER_HTTP }, { "HEAD", 4, STRANGER_HTTP }, { "POST", 4, STRANGER_HTTP }, { "PUT ", 4, STRANGER_HTTP }, { "DELE", 4, STRANGER_HTTP },
	{ "OPTI", 4, STRANGER_HTTP }, { "PATC", 4, STRANGER_HTTP }, { "CONN", 4, STRANGER_HTTP },
	{ "PRI ", 4, STRANGER_HTTP },	/* HTTP/2's first line */
	{ "\0", 1, STRANGER_PACKET },
};

enum stranger stranger_find(const char *in, size_t len)
{
	bool part = len == 0;

	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
		const struct beginning *b = &beginnings[i];

		if (memcmp(in, b->bytes, len < b->len ? len : b->len) != 0)
			continue;
		if (len >= b->len)
			return b->stranger;
		part = true;
	}
	return part ? STRANGER_PART : STRANGER_NONE;
}

const char *stranger_text(enum stranger stranger)
{
	switch (stranger) {
	case STRANGER_HTTP:
		return "this looks like HTTP: speak HTTP at the http:// address";
	case STRANGER_TLS:
		return "this looks like TLS (https://, wss://): it is spoken at addresses with TLS (https://, flash+tls://, packet+tls://), and this is none";
	case STRANGER_FLASH:
		return "this looks like a frame of the flash socket: it is spoken at the flash:// address";
	case STRANGER_JSON:
		return "this looks like JSON: it is taken by the flash:// address, as frames that end in NUL, and in bodies and WebSockets (/ws) at the http:// address";
	case STRANGER_PACKET:
		return "this looks like a packet: packets are spoken at the packet:// address";
	case STRANGER_NONE:
	case STRANGER_PART:
		break;
	}
	return NULL;
}

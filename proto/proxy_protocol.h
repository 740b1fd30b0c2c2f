/*
 * The PROXY protocol, versions 1 and 2: the first bytes of a connection that a proxy has opened say who its client is.
 * Source: https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, sections 2.1 and 2.2.
 *
 *   PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n          version 1, at most 107 bytes
 *   \r\n\r\n\0\r\nQUIT\n | 2, command | family, transport | length | addresses, and what else the proxy says
 *
 * A header without addresses (UNKNOWN, LOCAL: the proxy's own, as to see whether the server lives) leaves the client the proxy.
 */
#ifndef PROTO_PROXY_PROTOCOL_H
#define PROTO_PROXY_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define PROXY_HEADER_MAX 2048		/* bytes that are taken; of longer ones, which version 2 could have, nothing is known */

struct proxy_client {
	uint8_t family;			/* 4, 6; 0: not told */
	uint8_t address[16];		/* IPv4: the first four bytes. IPv4 mapped into IPv6 is told as IPv4 */
	uint16_t port;
};

/*
 * Reads the header that in[0..len) begins with. > 0: its length, and *client is filled in. 0: so far it may be one, and more is needed. -1: it is none; *error is a
 * static sentence for the log.
 */
long proxy_header_read(const uint8_t *in, size_t len, struct proxy_client *client, const char **error);

#endif

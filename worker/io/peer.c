/*
 * Who is at the other end. See peer.h.
 *
 * An IPv4 client of a socket that listens on [::] has an address like ::ffff:192.0.2.1: it is told as what it is. Of a Unix socket there is no address: its
 * clients mostly have none, and whose process it is would be another question to the kernel.
 */
#include "worker/io/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct event_peer peer_of(const struct sockaddr *address, socklen_t len)
{
	struct event_peer peer = { .family = EVENT_NOWHERE };

	if (len < sizeof(address->sa_family))
		return peer;
	if (address->sa_family == AF_UNIX) {
		peer.family = EVENT_UNIX;
	} else if (address->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;

		peer.family = EVENT_IPV4;
		peer.port = ntohs(in->sin_port);
		memcpy(peer.address, &in->sin_addr, sizeof(in->sin_addr));
	} else if (address->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&in->sin6_addr);

		peer.family = mapped ? EVENT_IPV4 : EVENT_IPV6;
		peer.port = ntohs(in->sin6_port);
		memcpy(peer.address, (const uint8_t *)&in->sin6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
	}
	return peer;
}

struct event_peer peer_ask(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	if (getpeername(fd, (struct sockaddr *)&address, &len) < 0)
		return (struct event_peer){ .family = EVENT_NOWHERE };
	return peer_of((const struct sockaddr *)&address, len);
}

/*
 * What others can reach. Without settings of who may do what, whoever reaches the server may do everything: that is for this machine alone.
 */
#include "master/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* 127/8, ::1, and 127/8 as IPv6 has it. */
static bool is_loopback(const struct sockaddr_storage *addr)
{
	const struct in6_addr *in6 = &((const struct sockaddr_in6 *)addr)->sin6_addr;

	if (addr->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == IN_LOOPBACKNET);
}

bool config_address_reached(const struct listen_address *address)
{
	return !config_address_path(address) && !is_loopback(&address->addr);
}

const struct listen_address *config_reached_by_all(const struct config *config)
{
	for (unsigned i = 0; i < config->listeners && !settings_say_who(&config->settings); i++)
		if (config_address_reached(&config->listen[i]))
			return &config->listen[i];
	return NULL;
}

const struct listen_address *config_reached_admin(const struct config *config)
{
	const char *ca = config->settings.tls_client_ca;
	char path[SETTINGS_TEXT_MAX];
	bool optional = true;

	if (ca[0])
		config_client_ca(ca, path, &optional);
	for (unsigned i = 0; i < config->listeners; i++) {
		const struct listen_address *a = &config->listen[i];

		if (a->proto == PROTO_ADMIN && config_address_reached(a) && (!a->tls || optional))
			return a;
	}
	return NULL;
}

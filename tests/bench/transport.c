#include "tests/bench/transport.h"

#include <stdio.h>
#include <string.h>

#include "tests/bench/net.h"

#define NAME_MAX_LEN 16u
#define FLASH_DEFAULT "127.0.0.1:8081"

static bool ends_with(const char *text, size_t len, const char *end)
{
	return len > strlen(end) && !memcmp(text + len - strlen(end), end, strlen(end));
}

/* HOST:PORT of an address, whose scheme is `len` bytes without what says that it is within TLS, none if it has none. */
static const char *split(const char *address, size_t *len, bool *tls)
{
	const char *mark = strstr(address, "://");
	size_t all = mark ? (size_t)(mark - address) : 0;

	*len = ends_with(address, all, "+tls") ? all - strlen("+tls") : all == strlen("https") && !memcmp(address, "https", all) ? all - 1 : all;
	*tls = *len < all;
	return mark ? mark + 3 : address;
}

static bool has_scheme(const char *address, const char *scheme, size_t len)
{
	size_t n;
	bool tls;

	split(address, &n, &tls);
	return n == len && !memcmp(address, scheme, len);
}

static bool is_tls(const char *address)
{
	size_t n;
	bool tls;

	split(address, &n, &tls);
	return tls;
}

static int say(const char *what, const char *why)
{
	fprintf(stderr, "janusbench: %s: %s\n", what, why);
	return -1;
}

/* How many of them are of the kind of addresses[i]; `upto`: of those before it. */
static uint32_t alike(char *const *addresses, int upto, int i)
{
	uint32_t n = 0;
	size_t len;
	bool tls;

	split(addresses[i], &len, &tls);
	for (int j = 0; j < upto; j++)
		n += has_scheme(addresses[j], addresses[i], len);
	return n;
}

int transport_check(char *const *addresses, int count, uint32_t *nodes)
{
	struct sockaddr_storage address;
	socklen_t address_len;
	const char *error;
	size_t len;
	bool tls;

	*nodes = count ? alike(addresses, count, 0) : 1;
	if (*nodes > NODES_MAX)
		return say(addresses[0], "too many nodes");
	for (int i = 0; i < count; i++) {
		const char *target = split(addresses[i], &len, &tls);

		if (len && !speak_knows_scheme(addresses[i], len))
			return say(addresses[i], "no protocol of --speak has such addresses");
		if (alike(addresses, count, i) != *nodes)
			return say(addresses[i], "of each kind there must be as many addresses: one for each node");
		for (int j = 0; j < i; j++)
			if (has_scheme(addresses[j], addresses[i], len) && is_tls(addresses[j]) != tls)
				return say(addresses[i], "of a kind all addresses are within TLS, or none");
		if (net_parse(target, &address, &address_len, &error))
			return say(addresses[i], error);
	}
	return 0;
}

static const char *find(const char *scheme, uint32_t node, char *const *addresses, int count, bool *tls)
{
	const char *found = NULL;
	size_t len;

	for (int i = 0; i < count; i++) {
		if (alike(addresses, i, i) != node)
			continue;
		if (has_scheme(addresses[i], scheme, strlen(scheme)))
			return split(addresses[i], &len, tls);
		if (has_scheme(addresses[i], "", 0))
			found = addresses[i];
	}
	return found || strcmp(scheme, "flash") ? found : FLASH_DEFAULT;
}

int transport_init(struct transport *t, const char *name, uint32_t node, char *const *addresses, int count)
{
	const char *error;

	*t = (struct transport){ .speak = speak_find(name), .node = node };
	if (!t->speak)
		return say(name, "no protocol that --speak or --publish knows");
	t->target = find(t->speak->scheme, node, addresses, count, &t->tls);
	if (!t->target) {
		fprintf(stderr, "janusbench: no address for %s: give %s://HOST:PORT\n", name, t->speak->scheme);
		return -1;
	}
	return net_parse(t->target, &t->address, &t->address_len, &error) ? say(t->target, error) : 0;
}

int transport_list(struct transport list[TRANSPORTS_MAX], uint32_t *n, const char *names, uint32_t nodes, char *const *addresses, int count)
{
	char name[NAME_MAX_LEN];

	for (*n = 0;; names++) {
		size_t len = strcspn(names, ",");
		struct transport *first = &list[*n];

		if (*n + nodes > TRANSPORTS_MAX)
			return say("--speak", "too many protocols");
		snprintf(name, sizeof(name), "%.*s", (int)len, names);
		for (uint32_t node = 0; node < nodes; node++)
			if (transport_init(&first[node], name, node, addresses, count))
				return -1;
		if (!first->speak->subscribe)
			return say(name, "to publish only");
		for (uint32_t i = 0; i < *n; i++)
			if (list[i].speak == first->speak)
				return say(name, "twice in --speak");
		*n += nodes;
		names += len;
		if (!*names)
			return 0;
	}
}

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

static int say(const char *what, const char *why)
{
	fprintf(stderr, "janusbench: %s: %s\n", what, why);
	return -1;
}

int transport_check(char *const *addresses, int count)
{
	struct sockaddr_storage address;
	socklen_t address_len;
	const char *error;
	size_t len;
	bool tls;

	for (int i = 0; i < count; i++) {
		const char *target = split(addresses[i], &len, &tls);

		if (len && !speak_knows_scheme(addresses[i], len))
			return say(addresses[i], "no protocol of --speak has such addresses");
		for (int j = 0; j < i; j++)
			if (has_scheme(addresses[j], addresses[i], len))
				return say(addresses[i], "a second address of its kind");
		if (net_parse(target, &address, &address_len, &error))
			return say(addresses[i], error);
	}
	return 0;
}

static const char *find(const char *scheme, char *const *addresses, int count, bool *tls)
{
	const char *found = NULL;
	size_t len;

	for (int i = 0; i < count; i++) {
		if (has_scheme(addresses[i], scheme, strlen(scheme)))
			return split(addresses[i], &len, tls);
		if (has_scheme(addresses[i], "", 0))
			found = addresses[i];
	}
	return found || strcmp(scheme, "flash") ? found : FLASH_DEFAULT;
}

int transport_init(struct transport *t, const char *name, char *const *addresses, int count)
{
	const char *error;

	*t = (struct transport){ .speak = speak_find(name) };
	if (!t->speak)
		return say(name, "no protocol that --speak or --publish knows");
	t->target = find(t->speak->scheme, addresses, count, &t->tls);
	if (!t->target) {
		fprintf(stderr, "janusbench: no address for %s: give %s://HOST:PORT\n", name, t->speak->scheme);
		return -1;
	}
	return net_parse(t->target, &t->address, &t->address_len, &error) ? say(t->target, error) : 0;
}

int transport_list(struct transport list[TRANSPORTS_MAX], uint32_t *n, const char *names, char *const *addresses, int count)
{
	char name[NAME_MAX_LEN];

	for (*n = 0;; names++) {
		size_t len = strcspn(names, ",");

		if (*n == TRANSPORTS_MAX)
			return say("--speak", "too many protocols");
		snprintf(name, sizeof(name), "%.*s", (int)len, names);
		if (transport_init(&list[*n], name, addresses, count))
			return -1;
		if (!list[*n].speak->subscribe)
			return say(name, "to publish only");
		for (uint32_t i = 0; i < *n; i++)
			if (list[i].speak == list[*n].speak)
				return say(name, "twice in --speak");
		++*n;
		names += len;
		if (!*names)
			return 0;
	}
}

/*
 * proto/proxy_protocol.c and forwarded.c: what an input is read as does not depend on how much of it is there, once that is enough; what was not enough is a part of a header.
 */
#include "proto/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

#include "proto/forwarded.h"
#include "tests/fuzz/fuzz.h"

static long read_exact(const uint8_t *data, size_t len, struct proxy_client *client)
{
	uint8_t *exact = fuzz_alloc(len);
	const char *error = NULL;
	long r;

	memcpy(exact, data, len);
	memset(client, 0xa5, sizeof(*client));
	r = proxy_header_read(exact, len, client, &error);
	free(exact);
	fuzz_check(r >= -1 && r <= (long)len && r <= PROXY_HEADER_MAX);
	fuzz_check((r < 0) == (error != NULL));
	fuzz_check(r <= 0 || client->family == 0 || client->family == 4 || client->family == 6);
	fuzz_check(r != 0 || len < PROXY_HEADER_MAX);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_client whole, part;
	struct address_list trusted;
	long r = read_exact(data, size, &whole), less;
	uint8_t address[16], family;
	const char *wrong;
	size_t len;
	char *head;

	for (size_t n = 0; n < size && n < 300; n++) {
		less = read_exact(data, n, &part);
		if (less > 0)
			fuzz_check(less == r && part.family == whole.family && part.port == whole.port && (!part.family || memcmp(part.address, whole.address, part.family == 4 ? 4 : 16) == 0));
		else if (less < 0)
			fuzz_check(r < 0);
	}
	fuzz_check(address_list_read(&trusted, "10.0.0.0/8 2001:db8::/33", &wrong, &len) == NULL);
	head = (char *)fuzz_alloc(size);
	memcpy(head, data, size);
	family = forwarded_client(&trusted, head, size, address);
	free(head);
	fuzz_check(family == 0 || family == 4 || family == 6);
	head = (char *)fuzz_alloc(size + 1);
	memcpy(head, data, size);
	head[size] = '\0';
	if (address_list_read(&trusted, head, &wrong, &len))
		fuzz_check(wrong >= head && wrong + len <= head + size && len > 0);
	free(head);
	return 0;
}

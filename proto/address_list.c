/*
 * Lists of addresses. See address_list.h.
 */
#include "proto/address_list.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define DIVIDERS " ,\t"

uint8_t address_read(const char *text, size_t len, uint8_t address[16])
{
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	if (len == 0 || len >= sizeof(copy))
		return 0;
	memcpy(copy, text, len);
	copy[len] = '\0';
	memset(address, 0, 16);
	if (inet_pton(AF_INET, copy, address) == 1)
		return 4;
	if (inet_pton(AF_INET6, copy, &in6) != 1)
		return 0;
	if (IN6_IS_ADDR_V4MAPPED(&in6)) {
		memcpy(address, in6.s6_addr + 12, 4);
		return 4;
	}
	memcpy(address, &in6, sizeof(in6));
	return 6;
}

static bool read_bits(const char *text, size_t len, unsigned most, uint8_t *bits)
{
	unsigned n = 0;

	if (len == 0 || len > 3)
		return false;
	for (; len > 0; text++, len--) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned)(*text - '0');
	}
	*bits = (uint8_t)n;
	return n <= most;
}

/* Bits of the address behind those that are compared are zero in a network's. */
static bool is_network(const struct address_range *r, unsigned all)
{
	for (unsigned i = r->bits; i < all; i++)
		if (r->address[i / 8] >> (7 - i % 8) & 1)
			return false;
	return true;
}

static const char *read_item(struct address_range *r, const char *text, size_t len)
{
	const char *slash = memchr(text, '/', len);
	unsigned most;

	memset(r, 0, sizeof(*r));
	if (len == 4 && memcmp(text, "unix", 4) == 0) {
		r->family = 1;
		return NULL;
	}
	r->family = address_read(text, slash ? (size_t)(slash - text) : len, r->address);
	if (!r->family)
		return "is neither a numeric address, nor ADDRESS/BITS, nor unix";
	most = r->family == 4 ? 32 : 128;
	r->bits = (uint8_t)most;
	if (slash && !read_bits(slash + 1, len - (size_t)(slash + 1 - text), most, &r->bits))
		return "has a number of bits that can't be";
	return is_network(r, most) ? NULL : "has an address with bits behind those of its network";
}

const char *address_list_read(struct address_list *list, const char *text, const char **wrong, size_t *wrong_len)
{
	list->count = 0;
	for (;;) {
		const char *error;

		text += strspn(text, DIVIDERS);
		if (!*text)
			return NULL;
		*wrong = text;
		*wrong_len = strcspn(text, DIVIDERS);
		if (list->count == ADDRESS_LIST_MAX)
			return "is one address too many";
		error = read_item(&list->range[list->count], text, *wrong_len);
		if (error)
			return error;
		list->count++;
		text += *wrong_len;
	}
}

static bool fits(const struct address_range *r, const uint8_t *address)
{
	unsigned whole = r->bits / 8, rest = r->bits % 8;

	return memcmp(r->address, address, whole) == 0 && (rest == 0 || (r->address[whole] ^ address[whole]) >> (8 - rest) == 0);
}

bool address_list_has(const struct address_list *list, uint8_t family, const uint8_t *address)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->range[i].family == family && fits(&list->range[i], address))
			return true;
	return false;
}

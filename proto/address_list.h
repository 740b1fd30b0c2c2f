/*
 * Lists of addresses, as trusted_proxies is one: numeric IPv4 and IPv6 addresses and networks of them (CIDR, RFC 4632: 10.0.0.0/8, 2001:db8::/32), and the word unix
 * for whoever comes by a Unix socket; divided by spaces or commas.
 */
#ifndef PROTO_ADDRESS_LIST_H
#define PROTO_ADDRESS_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_LIST_MAX 256

struct address_range {
	uint8_t family;			/* 4, 6; 1: unix, of which there is no address */
	uint8_t bits;			/* of `address` that are compared */
	uint8_t address[16];		/* IPv4: the first four bytes */
};

struct address_list {
	unsigned count;
	struct address_range range[ADDRESS_LIST_MAX];
};

/* NULL; or what is wrong with the item [*wrong, *wrong + *wrong_len), a static sentence. */
const char *address_list_read(struct address_list *list, const char *text, const char **wrong, size_t *wrong_len);

bool address_list_has(const struct address_list *list, uint8_t family, const uint8_t *address);

/* A numeric address. The family, and address[]; 0: it is none. IPv4 mapped into IPv6 is told as IPv4. */
uint8_t address_read(const char *text, size_t len, uint8_t address[16]);

#endif

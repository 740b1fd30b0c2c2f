/*
 * X-Forwarded-For: a list to which each proxy adds, on the right or as another line behind, whom it was connected by. What a client has written into it itself stands on the left.
 */
#ifndef PROTO_FORWARDED_H
#define PROTO_FORWARDED_H

#include "proto/address_list.h"

/*
 * The client that a request's head, as it came, names: the right-most address that is not a trusted proxy's, over all lines; if all are, the first. An address may have a port, and
 * IPv6 brackets. What stands left of something that is no address is not looked at. The family (4, 6), and address[]; 0: it names none.
 */
uint8_t forwarded_client(const struct address_list *trusted, const char *head, size_t len, uint8_t address[16]);

#endif

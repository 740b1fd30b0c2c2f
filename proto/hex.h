/*
 * A hex digit. (nettle's base16 decodes whole bytes, and passes over white space.)
 */
#ifndef PROTO_HEX_H
#define PROTO_HEX_H

/* The number that it stands for, or -1. */
static inline int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

#endif

/*
 * One hex digit. (Bytes become hex by nettle's base16_encode_update(), numbers by sink_hex().)
 */
#ifndef PROTO_HEX_H
#define PROTO_HEX_H

/* What a digit of either case is worth; -1: it is none. */
static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif

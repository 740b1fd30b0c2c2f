/*
 * X-Forwarded-For. See forwarded.h.
 */
#include "proto/forwarded.h"

#include <string.h>
#include <strings.h>

#include "proto/http_text.h"

#define FIELD "x-forwarded-for:"

/* ADDRESS, IPv4:PORT or [IPv6]:PORT. */
static uint8_t read_item(struct http_text item, uint8_t address[16])
{
	const char *colon = memchr(item.p, ':', item.len), *end;

	if (item.len > 0 && *item.p == '[') {
		end = memchr(item.p, ']', item.len);
		return end ? address_read(item.p + 1, (size_t)(end - item.p - 1), address) : 0;
	}
	if (colon && !memchr(colon + 1, ':', item.len - (size_t)(colon + 1 - item.p)))
		item.len = (size_t)(colon - item.p);
	return address_read(item.p, item.len, address);
}

/* Goes through one line's value from the right. False: who it was is found, or nothing further left counts. */
static bool look(const struct address_list *trusted, struct http_text value, uint8_t *family, uint8_t address[16])
{
	uint8_t at[16];

	for (size_t end = value.len;; ) {
		size_t begin = end;
		uint8_t its;

		while (begin > 0 && value.p[begin - 1] != ',')
			begin--;
		its = read_item(http_trim((struct http_text){ value.p + begin, end - begin }), at);
		if (!its)
			return false;
		*family = its;
		memcpy(address, at, sizeof(at));
		if (!address_list_has(trusted, its, at))
			return false;
		if (begin == 0)
			return true;
		end = begin - 1;
	}
}

uint8_t forwarded_client(const struct address_list *trusted, const char *head, size_t len, uint8_t address[16])
{
	uint8_t family = 0;

	/* lines from the last to the first */
	while (len > 0) {
		size_t begin = len - 1;
		struct http_text value;

		while (begin > 0 && head[begin - 1] != '\n')
			begin--;
		if (len - begin >= sizeof(FIELD) - 1 && strncasecmp(head + begin, FIELD, sizeof(FIELD) - 1) == 0) {
			value = (struct http_text){ head + begin + sizeof(FIELD) - 1, len - begin - (sizeof(FIELD) - 1) };
			while (value.len > 0 && (value.p[value.len - 1] == '\n' || value.p[value.len - 1] == '\r'))
				value.len--;
			if (!look(trusted, value, &family, address))
				return family;
		}
		len = begin;
	}
	return family;
}

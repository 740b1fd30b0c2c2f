#include "tests/bench/account.h"

#include <stdio.h>
#include <stdlib.h>

struct account *account_create(const struct stream *stream, uint32_t pos, const struct stamp *stamp, uint32_t messages,
			       uint32_t publishers)
{
	size_t head = sizeof(struct account) + publishers * sizeof(uint32_t);
	struct account *a = calloc(1, head + (messages + 7) / 8);

	if (!a) {
		fprintf(stderr, "janusbench: no memory to account for so many faults\n");
		exit(3);
	}
	a->next = (uint32_t *)(a + 1);
	a->had = (uint8_t *)a + head;
	a->messages = messages;
	a->publishers = publishers;
	a->hash = STREAM_HASH;
	for (uint32_t i = 0; i < pos; i++)
		account_enter(a, &(struct payload){ .publisher = stream->frame[i].publisher, .seq = stream->frame[i].seq });
	a->stamp = *stamp;
	return a;
}

void account_destroy(struct account *account)
{
	free(account);
}

enum account_entry account_enter(struct account *a, const struct payload *p)
{
	uint32_t i = account_index(p->publisher, p->seq, a->publishers);

	if (a->had[i / 8] & 1u << i % 8)
		return ACCOUNT_AGAIN;
	a->had[i / 8] |= (uint8_t)(1u << i % 8);
	a->received++;
	a->hash = stream_hash(a->hash, p->publisher, p->seq);
	if (p->seq < a->next[p->publisher]) {
		a->late++;
		return ACCOUNT_LATE;
	}
	a->next[p->publisher] = p->seq + 1;
	return ACCOUNT_NEW;
}

uint32_t account_missing(const struct account *a)
{
	uint32_t i = 0;

	while (i < a->messages && a->had[i / 8] & 1u << i % 8)
		i++;
	return i;
}

/*
 * A record of the ring as every transport sends it. Of one that was published, more can be said than that the encoders stay within bounds.
 */
#ifndef TESTS_FUZZ_PUBLISHED_H
#define TESTS_FUZZ_PUBLISHED_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/message_view.h"
#include "proto/position.h"

#define PUBLISHED_SEQ 7
#define PUBLISHED_EPOCH "ihegr977-"
#define PUBLISHED_EPOCH_MS 1448434925395u
#define PUBLISHED_ID PUBLISHED_EPOCH "7"
#define PUBLISHED_TIME 1448434925395864u

extern const struct position_epoch published_epoch;

/* Any bytes, into so much room or so little. */
void published_bounds(const char *record, size_t len, size_t room);

/* A record that json_request_write() or packet_record() wrote, of a message that goes there. */
void published_check(const char *record, size_t len, enum message_to to);

#endif

/* What became of requests, gathered by a worker until it is sent: numbers in one block and texts in another, so that
 * whoever reads them makes columns of them without looking at each. `gateway/enforcement/edge_log.py` reads it. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "envoy.h"

enum record_text { RECORD_METHOD, RECORD_PATH, RECORD_CLUSTER, RECORD_ADDRESS, RECORD_DECISION, RECORD_SUBJECT,
                   RECORD_ACTOR, RECORD_EFFECT, RECORD_DETAILS, RECORD_TEXTS };

struct __attribute__((packed)) record_numbers {
    double time;     /* Unix seconds */
    double duration; /* seconds until the last byte was sent */
    int64_t bytes_in, bytes_out;
    uint16_t status;
};

struct log {
    struct record_numbers *numbers;
    size_t count;
    char *texts; /* each ended by a NUL */
    size_t length, room;
    uint64_t dropped; /* for want of room, since the last batch */
};

void log_add(struct log *, const struct record_numbers *, const text texts[RECORD_TEXTS]);

/* All of it as one frame, which the caller frees, and an empty log; NULL where there is nothing. */
char *log_take(struct log *, size_t *length);
void log_free(struct log *);

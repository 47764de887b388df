/* How often somebody may ask: one table for all workers of the process, of so many callers and no more. */
#pragma once
#include <stdint.h>

#include "envoy.h"

struct limit {
    uint64_t interval_ns; /* between requests that go on for ever; 0 for no limit */
    uint32_t burst;       /* that may come at once after a while of nothing; at least 1 */
    uint64_t scope;       /* callers are counted for each scope apart */
};

struct limits;

struct limits *limits_new(void);
void limits_free(struct limits *);

/* Whether one more request of `who` may go on at `now_ns` (monotonic): 0, and it is counted; else the nanoseconds until
 * one may. From any thread. */
uint64_t limits_draw(struct limits *, const struct limit *, text who, uint64_t now_ns);

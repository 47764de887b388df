/* Answers that hold for the same question again, for one worker: nobody else touches them. Bounded in memory; what has not
 * been asked for lately goes first. */
#pragma once
#include <stdint.h>

#include "frames.h"
#include "shared.h"

struct cache;

struct cache *cache_new(size_t bytes);
void cache_free(struct cache *);

/* The answer to this question, if it still holds at `now_ns` (monotonic): its time is not over, and nothing was signalled
 * that touches it. The caller has a reference then. */
struct answer *cache_find(struct cache *, const struct request *, const struct shared *, uint64_t instance,
                          uint64_t now_ns);

/* Keep an answer to a question that was asked at `asked_ns`, when the signals had come to `sequence`. */
void cache_keep(struct cache *, const struct request *, struct answer *, uint64_t instance, uint64_t sequence,
                uint64_t asked_ns);

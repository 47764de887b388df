/* The way from the workers of Envoy to the judges: each worker has a connection to each judge. A worker writes its
 * questions itself; one thread reads all answers, gives up on what takes too long, and connects again what broke. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "frames.h"
#include "limits.h"
#include "log.h"
#include "shared.h"

#define MOST_JUDGES 64u
#define NOT_ASKED UINT32_MAX

struct worker;

struct settings {
    char run[88];        /* folder of the gateway's sockets */
    uint32_t judges;     /* how many there may be; the first is the gateway itself */
    uint32_t timeout_ms; /* for an answer */
    uint32_t flush_ms;   /* between batches of the log */
    size_t cache_bytes;  /* for each worker; 0 for no cache */
};

enum outcome { ANSWERED, LOST, LATE };

/* The process's one gate; NULL where the settings differ from those that it runs with, or it cannot run with them. Each is
 * released once, in any thread. */
struct gate *gate_acquire(const struct settings *);
void gate_release(struct gate *);

struct worker *gate_worker(struct gate *, uint32_t index);

/* Of the monotonic clock. */
uint64_t clock_ns(void);

/* The rest is for the worker's own thread alone. */

/* The answer that is known already; the caller has a reference. */
struct answer *worker_known(struct worker *, const struct request *);

/* Ask. `alone`: only the gateway itself may be asked. The slot to take the answer from once `wake` has been called with
 * it, NOT_ASKED where nobody can be asked. */
uint32_t worker_ask(struct worker *, const struct request *, envoy_filter, bool alone);

/* What came of it; frees the slot. `request` is asked for only where the answer may be kept. */
enum outcome worker_take(struct worker *, uint32_t slot, struct answer **answer, uint64_t *instance, uint64_t *sequence,
                         uint64_t *asked_ns);

/* The stream is gone: nobody waits for the answer. */
void worker_forget(struct worker *, uint32_t slot);

void worker_keep(struct worker *, const struct request *, struct answer *, uint64_t instance, uint64_t sequence,
                 uint64_t asked_ns);

/* Whether one more request of `who` may go on: 0, or the nanoseconds until one may. All workers count together. */
uint64_t worker_draw(struct worker *, const struct limit *, text who);

void worker_log(struct worker *, const struct record_numbers *, const text texts[RECORD_TEXTS]);

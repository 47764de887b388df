/* What the gateway writes and every worker of Envoy reads: one file, mapped by both. A signal that touches somebody is
 * one store to it, and the next request in any worker sees it: nothing has to be sent, or confirmed. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SHARED_MAGIC 0x3148434f50455250ull /* "PREPOCH1" */
#define BUCKETS 65536u

/* `gateway/edge/epochs.py` writes the same layout. */
struct shared {
    uint64_t magic;
    _Atomic uint64_t instance;   /* of the gateway that writes; another after each start */
    _Atomic uint64_t sequence;   /* grows with each signal */
    _Atomic uint64_t everything; /* the sequence of the last signal that touched everybody */
    uint64_t reserved[60];
    _Atomic uint64_t touched[BUCKETS]; /* the sequence of the last signal that touched somebody of this bucket */
};

/* The mapped file; NULL where there is none, or it is something else. Never unmapped: a worker may be reading. */
const struct shared *shared_open(const char *path);

/* Whether nothing was signalled since `sequence` that touches one of these buckets. */
bool shared_untouched(const struct shared *, uint64_t sequence, const uint16_t *buckets, unsigned count);

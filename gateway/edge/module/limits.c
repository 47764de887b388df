#include "limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "siphash.h"

#define WAYS 8u
#define SETS 8192u        /* 65,536 callers at once, in 1.5 MiB */
#define LOCKS 64u

/* A bucket of tokens as one time: when it is full again (the virtual scheduling of ITU-T I.371, annex A.1). What is full is
 * no other than what was never there, so that nobody has to empty the table. */
struct bucket {
    digest who;
    uint64_t full_ns;
};

struct limits {
    uint64_t key[2];
    pthread_mutex_t lock[LOCKS];
    struct bucket buckets[SETS][WAYS];
};

struct limits *limits_new(void) {
    struct limits *limits = calloc(1, sizeof *limits);
    if (limits == NULL || getrandom(limits->key, sizeof limits->key, 0) != sizeof limits->key) abort();
    for (unsigned i = 0; i < LOCKS; i++) pthread_mutex_init(&limits->lock[i], NULL);
    return limits;
}

void limits_free(struct limits *limits) {
    for (unsigned i = 0; i < LOCKS; i++) pthread_mutex_destroy(&limits->lock[i]);
    free(limits);
}

/* A limit that was changed begins anew: what was drawn of another one says nothing of it. */
static digest digest_of(const struct limits *limits, const struct limit *limit, text who) {
    digest name = siphash(limits->key, who.data, who.length);
    uint64_t parts[] = {name.low, name.high, limit->interval_ns, limit->burst, limit->scope};
    return siphash(limits->key, parts, sizeof parts);
}

/* The caller's own, else that of whom least is remembered by losing it: nobody is ever counted for another. */
static struct bucket *bucket_of(struct bucket set[WAYS], digest who) {
    struct bucket *best = set;
    for (unsigned way = 0; way < WAYS; way++) {
        if (set[way].who.low == who.low && set[way].who.high == who.high) return &set[way];
        if (set[way].full_ns < best->full_ns) best = &set[way];
    }
    *best = (struct bucket){.who = who};
    return best;
}

static uint64_t draw(struct bucket *bucket, const struct limit *limit, uint64_t now_ns) {
    uint64_t full = bucket->full_ns > now_ns ? bucket->full_ns : now_ns, room = (limit->burst - 1) * limit->interval_ns;
    if (full - now_ns > room) return full - now_ns - room;
    bucket->full_ns = full + limit->interval_ns;
    return 0;
}

uint64_t limits_draw(struct limits *limits, const struct limit *limit, text who, uint64_t now_ns) {
    digest found = digest_of(limits, limit, who);
    unsigned set = found.low % SETS;
    pthread_mutex_t *lock = &limits->lock[set % LOCKS];
    pthread_mutex_lock(lock);
    uint64_t wait = draw(bucket_of(limits->buckets[set], found), limit, now_ns);
    pthread_mutex_unlock(lock);
    return wait;
}

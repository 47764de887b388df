/* Envoy, for the module's gate: what wakes a stream's filter on its worker's thread. Each program defines the rest. */
#pragma once
#include <pthread.h>
#include <stdint.h>

#define MOST_LETTERS 65536u

struct waker;

/* A worker's queue of wakings, which other threads put into. */
struct mailbox {
    pthread_mutex_t lock;
    uint32_t count;
    struct letter {
        struct waker *waker;
        uint64_t life;
    } letters[MOST_LETTERS];
};

/* A stream's filter. `life`: another one has it after it was forgotten. */
struct waker {
    struct mailbox *mailbox;
    uint64_t life;
};

/* The next waking of a filter that still lives; NULL for none now. */
struct waker *mailbox_next(struct mailbox *);

/* How many schedulers there are: one that is never deleted is a leak of Envoy's. */
uint32_t schedulers_alive(void);

void stub_concurrency(uint32_t workers);

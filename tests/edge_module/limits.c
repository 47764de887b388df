/* Limits beside a plain bucket of tokens for each caller, counted in nanoseconds of refilling: the same is let through,
 * whoever else asks, from however many threads. */
#include "limits.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"

#define CALLERS 64u
#define STEPS 500000
#define CROWD 400000u
#define THREADS 4

static text name(char into[32], uint32_t number) {
    return (text){into, (size_t)snprintf(into, 32, "agent:%u", number)};
}

static void check_model(struct chance *chance) {
    const struct limit limit = {.interval_ns = 1000, .burst = 5};
    struct limits *limits = limits_new();
    uint64_t tokens_ns[CALLERS], seen_ns[CALLERS] = {0}, now_ns = 0, most_ns = limit.burst * limit.interval_ns;
    char into[32];
    for (unsigned i = 0; i < CALLERS; i++) tokens_ns[i] = most_ns;
    for (int i = 0; i < STEPS; i++) {
        uint32_t who = chance_of(chance, CALLERS);
        now_ns += chance_of(chance, 40);
        tokens_ns[who] += now_ns - seen_ns[who];
        if (tokens_ns[who] > most_ns) tokens_ns[who] = most_ns;
        seen_ns[who] = now_ns;
        uint64_t wait_ns = limits_draw(limits, &limit, name(into, who), now_ns);
        CHECK(wait_ns == (tokens_ns[who] >= limit.interval_ns ? 0 : limit.interval_ns - tokens_ns[who]));
        if (wait_ns == 0) tokens_ns[who] -= limit.interval_ns;
    }
    limits_free(limits);
}

/* Six times as many as are remembered: nobody pays for another, and who is not forgotten is limited still. */
static void check_crowd(void) {
    const struct limit limit = {.interval_ns = 1000, .burst = 1};
    struct limits *limits = limits_new();
    char into[32];
    for (uint32_t i = 0; i < CROWD; i++) CHECK(limits_draw(limits, &limit, name(into, i), 1) == 0);
    CHECK(limits_draw(limits, &limit, name(into, CROWD - 1), 1) == limit.interval_ns);
    limits_free(limits);
}

static void check_apart(void) {
    struct limits *limits = limits_new();
    struct limit limit = {.interval_ns = 1ull << 50, .burst = 1};
    const text who = {"agent:a", 7};
    CHECK(limits_draw(limits, &limit, who, 1) == 0 && limits_draw(limits, &limit, who, 1) > 0);
    limit.scope = 1; /* another route's */
    CHECK(limits_draw(limits, &limit, who, 1) == 0);
    limit.burst = 2; /* another limit of it */
    CHECK(limits_draw(limits, &limit, who, 1) == 0 && limits_draw(limits, &limit, who, 1) == 0);
    CHECK(limits_draw(limits, &limit, who, 1) == limit.interval_ns);
    CHECK(limits_draw(limits, &limit, (text){NULL, 0}, 1) == 0);
    limits_free(limits);
}

static const struct limit TOGETHER = {.interval_ns = 1000000, .burst = 1000};
static struct limits *shared_limits;
static _Atomic uint32_t passed;

static void *draw_many(void *given) {
    char into[32];
    (void)given;
    for (int i = 0; i < 20000; i++)
        if (limits_draw(shared_limits, &TOGETHER, i % 2 ? name(into, i) : (text){"agent:hot", 9}, 5) == 0 && i % 2 == 0)
            passed++;
    return NULL;
}

static void check_threads(void) {
    pthread_t threads[THREADS];
    shared_limits = limits_new();
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, draw_many, NULL) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(passed == TOGETHER.burst);
    limits_free(shared_limits);
}

int main(int count, char **given) {
    struct chance chance = chance_from(count, given);
    check_model(&chance);
    check_crowd();
    check_apart();
    check_threads();
}

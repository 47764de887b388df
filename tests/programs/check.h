/* What every program here needs: a check that ends it, and numbers by chance that a seed repeats. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(holds)                                                                                                    \
    do {                                                                                                                \
        if (!(holds)) {                                                                                                 \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);                                  \
            abort();                                                                                                    \
        }                                                                                                               \
    } while (0)

struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance) { /* SplitMix64 */
    uint64_t word = chance->state += 0x9e3779b97f4a7c15ull;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9ull;
    word = (word ^ word >> 27) * 0x94d049bb133111ebull;
    return word ^ word >> 31;
}

/* Less than `below`. */
static inline uint32_t chance_of(struct chance *chance, uint32_t below) { return chance_next(chance) % below; }

/* The seed is the program's first argument; without one there is always the same. */
static inline struct chance chance_from(int count, char **given) {
    return (struct chance){count > 1 ? strtoull(given[1], NULL, 10) : 1};
}

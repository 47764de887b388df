/* Texts at the very ends of their letters, under a sanitizer that watches each byte: equal ones have one code, others
 * never, whatever their hashes; copies are what was copied. */
#include "check.h"

#include <stddef.h>
#include <string.h>

struct secrets {
    uint64_t start, length, first, second;
};
int64_t texts_hash(const uint8_t *, size_t, size_t, const int64_t *, const int64_t *, const struct secrets *, uint64_t *);
int64_t texts_code(const uint8_t *, size_t, size_t, const int64_t *, const int64_t *, const struct secrets *, int32_t *,
                   unsigned, int32_t *, int64_t *, uint64_t *);
int64_t texts_copy(const uint8_t *, size_t, size_t, const int64_t *, const int64_t *, uint8_t *, size_t);

enum { ROUNDS = 4000, MOST = 40, LONGEST = 600 };

static int differ(const uint8_t *letters, const int64_t *starts, const int64_t *lengths, size_t one, size_t other) {
    return lengths[one] != lengths[other] || memcmp(letters + starts[one], letters + starts[other], lengths[one]);
}

static void code_once(struct chance *chance) {
    size_t size = chance_of(chance, LONGEST), count = chance_of(chance, MOST), sum = 0;
    uint8_t *letters = malloc(size ? size : 1);
    int64_t starts[MOST], lengths[MOST], firsts[MOST];
    uint64_t hashes[MOST], again[MOST];
    int32_t slots[128] = {0}, codes[MOST];
    for (size_t at = 0; at < size; at++) letters[at] = 'a' + chance_of(chance, 2);
    for (size_t row = 0; row < count; row++) {
        starts[row] = chance_of(chance, size + 1);
        lengths[row] = chance_of(chance, 3) ? chance_of(chance, size - starts[row] + 1) % 5 : size - starts[row];
        sum += lengths[row];
    }
    struct secrets none = {0, 1, 1, 1}, some = {chance_next(chance), chance_next(chance) | 1, chance_next(chance) | 1,
                                                chance_next(chance) | 1};
    const struct secrets *secrets = chance_of(chance, 2) ? &none : &some;
    const size_t known = texts_code(letters, size, count, starts, lengths, secrets, slots, 7, codes, firsts, hashes);
    CHECK(texts_hash(letters, size, count, starts, lengths, secrets, again) == (int64_t)count);
    CHECK(known <= count);
    for (size_t row = 0; row < count; row++) {
        CHECK(codes[row] >= 0 && (size_t)codes[row] < known && firsts[codes[row]] <= (int64_t)row);
        CHECK(again[row] == hashes[codes[row]]);
        for (size_t other = 0; other <= row; other++)
            CHECK((codes[row] != codes[other]) == !!differ(letters, starts, lengths, row, other));
    }
    uint8_t *copy = malloc(sum ? sum : 1), *at = copy;
    CHECK(texts_copy(letters, size, count, starts, lengths, copy, sum) == (int64_t)sum);
    for (size_t row = 0; row < count; at += lengths[row++]) CHECK(!memcmp(at, letters + starts[row], lengths[row]));
    if (count) { /* one that lies elsewhere, and a copy that does not fit */
        CHECK(!sum || texts_copy(letters, size, count, starts, lengths, copy, sum - 1) < 0);
        starts[count - 1] = chance_of(chance, 2) ? (int64_t)chance_next(chance) : -1;
        lengths[count - 1] = chance_of(chance, 2) ? (int64_t)chance_next(chance) : 1;
        CHECK(texts_hash(letters, size, count, starts, lengths, secrets, again) < 0);
    }
    free(letters), free(copy);
}

int main(int count, char **given) {
    struct chance chance = chance_from(count, given);
    for (int round = 0; round < ROUNDS; round++) code_once(&chance);
    return 0;
}

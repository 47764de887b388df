/* Many texts at once, of any bytes: hashed, coded by which are equal, copied. Row i's text is the `lengths[i]` bytes of
 * the `size` bytes of letters from `starts[i]` on. All return BEYOND, and have done nothing, where one lies elsewhere. */
#include <stdint.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie");

enum { BEYOND = -1, WORD = 8, HASHED = 512 /* bytes of one text; what follows does not change its hash */ };

struct secrets {
    uint64_t start, length, first, second; /* the last three are odd */
};

static bool within(size_t size, size_t count, const int64_t *starts, const int64_t *lengths) {
    const uint64_t most = size;
    for (size_t row = 0; row < count; row++) {
        const uint64_t start = starts[row], length = lengths[row]; /* what is below 0 is very large */
        if (start > most || length > most - start) return false;
    }
    return true;
}

static uint64_t first_bytes(uint64_t word, size_t count) {
    return count < WORD ? word & ((UINT64_C(1) << (8 * count)) - 1) : word;
}

static uint64_t mixed_in(uint64_t state, uint64_t word, const struct secrets *secrets) {
    state = (state ^ word) * secrets->first;
    state = (state ^ state >> 32) * secrets->second;
    return state ^ state >> 29;
}

/* The finisher of MurmurHash3 (public domain). */
static uint64_t finished(uint64_t state) {
    state = (state ^ state >> 33) * UINT64_C(0xFF51AFD7ED558CCD);
    state = (state ^ state >> 33) * UINT64_C(0xC4CEB9FE1A85EC53);
    return state ^ state >> 33;
}

static uint64_t hash(const uint8_t *at, size_t length, const uint8_t *end, const struct secrets *secrets) {
    size_t left = length < HASHED ? length : HASHED;
    uint64_t state = left * secrets->length ^ secrets->start;
    for (; left; at += WORD) {
        uint64_t word = 0;
        size_t count = left < WORD ? left : WORD;
        if (end - at >= WORD) {
            memcpy(&word, at, WORD);
            word = first_bytes(word, count);
        } else
            memcpy(&word, at, count);
        state = mixed_in(state, word, secrets);
        left -= count;
    }
    return finished(state);
}

/* [count] hashes. Returns their number. */
int64_t texts_hash(const uint8_t *letters, size_t size, size_t count, const int64_t *starts, const int64_t *lengths,
                   const struct secrets *secrets, uint64_t *hashes) {
    if (!within(size, count, starts, lengths)) return BEYOND;
    for (size_t row = 0; row < count; row++)
        hashes[row] = hash(letters + starts[row], lengths[row], letters + size, secrets);
    return count;
}

/* Codes the texts in the order in which each first appears: equal ones have the same code. `firsts[c]` is the first row
 * of code c, `hashes[c]` its hash; both have room for `count`. `slots` is 2^bits zeros, more than `count`.
 * Returns how many codes there are. */
int64_t texts_code(const uint8_t *letters, size_t size, size_t count, const int64_t *starts, const int64_t *lengths,
                   const struct secrets *secrets, int32_t *slots, unsigned bits, int32_t *codes, int64_t *firsts,
                   uint64_t *hashes) {
    if (!within(size, count, starts, lengths)) return BEYOND;
    const size_t last = ((size_t)1 << bits) - 1;
    int32_t known = 0;
    for (size_t row = 0; row < count; row++) {
        const uint8_t *text = letters + starts[row];
        const int64_t length = lengths[row];
        const uint64_t its = hash(text, length, letters + size, secrets);
        size_t slot = its >> (64 - bits);
        int32_t code;
        for (;; slot = (slot + 1) & last) {
            code = slots[slot] - 1;
            if (code < 0) break;
            const int64_t first = firsts[code];
            if (hashes[code] == its && lengths[first] == length && memcmp(letters + starts[first], text, length) == 0)
                break;
        }
        if (code < 0) {
            code = known++;
            slots[slot] = known;
            firsts[code] = row;
            hashes[code] = its;
        }
        codes[row] = code;
    }
    return known;
}

/* One after another into `room` bytes. Returns how many it wrote; BEYOND, too, where they are more than fit. */
int64_t texts_copy(const uint8_t *letters, size_t size, size_t count, const int64_t *starts, const int64_t *lengths,
                   uint8_t *into, size_t room) {
    if (!within(size, count, starts, lengths)) return BEYOND;
    size_t used = 0;
    for (size_t row = 0; row < count; row++) {
        if ((size_t)lengths[row] > room - used) return BEYOND;
        memcpy(into + used, letters + starts[row], lengths[row]);
        used += lengths[row];
    }
    return used;
}

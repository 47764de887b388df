/* Many texts at once, of any bytes: hashed, coded by which are equal, copied. Row i's text is the `lengths[i]` bytes of
 * the `size` bytes of letters from `starts[i]` on; that they lie within is the caller's to know. */
#include <stdint.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie");

enum { WORD = 8, HASHED = 512 /* bytes of one text; what follows does not change its hash */ };

struct secrets {
    uint64_t start, length, first, second; /* the last three are odd */
};

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

/* [count] hashes. */
void texts_hash(const uint8_t *letters, size_t size, size_t count, const int64_t *starts, const int64_t *lengths,
                const struct secrets *secrets, uint64_t *hashes) {
    for (size_t row = 0; row < count; row++)
        hashes[row] = hash(letters + starts[row], lengths[row], letters + size, secrets);
}

/* Codes the texts in the order in which each first appears: equal ones have the same code. `firsts[c]` is the first row
 * of code c, `hashes[c]` its hash; both have room for `count`. `slots` is 2^bits zeros, more than `count`.
 * Returns how many codes there are. */
size_t texts_code(const uint8_t *letters, size_t size, size_t count, const int64_t *starts, const int64_t *lengths,
                  const struct secrets *secrets, int32_t *slots, unsigned bits, int32_t *codes, int64_t *firsts,
                  uint64_t *hashes) {
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

/* One after another, into as many bytes as they have together. */
void texts_copy(const uint8_t *letters, size_t count, const int64_t *starts, const int64_t *lengths, uint8_t *into) {
    for (size_t row = 0; row < count; row++) {
        memcpy(into, letters + starts[row], lengths[row]);
        into += lengths[row];
    }
}

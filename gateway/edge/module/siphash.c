#include "siphash.h"

#include <string.h>

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define ROUND                                                                                                           \
    do {                                                                                                                \
        a += b; b = ROTATE(b, 13); b ^= a; a = ROTATE(a, 32);                                                           \
        c += d; d = ROTATE(d, 16); d ^= c;                                                                              \
        a += d; d = ROTATE(d, 21); d ^= a;                                                                              \
        c += b; b = ROTATE(b, 17); b ^= c; c = ROTATE(c, 32);                                                           \
    } while (0)

static uint64_t word_at(const unsigned char *data) {
    uint64_t word;
    memcpy(&word, data, 8);
    return word; /* little endian, as every machine that Envoy runs on */
}

digest siphash(const uint64_t key[2], const void *input, size_t length) {
    const unsigned char *data = input;
    uint64_t a = key[0] ^ 0x736f6d6570736575ull, b = key[1] ^ 0x646f72616e646f6dull ^ 0xee;
    uint64_t c = key[0] ^ 0x6c7967656e657261ull, d = key[1] ^ 0x7465646279746573ull;
    for (size_t left = length / 8; left > 0; left--, data += 8) {
        uint64_t word = word_at(data);
        d ^= word;
        ROUND;
        ROUND;
        a ^= word;
    }
    uint64_t last = (uint64_t)length << 56;
    for (unsigned i = 0; i < length % 8; i++) last |= (uint64_t)data[i] << (8 * i);
    d ^= last;
    ROUND;
    ROUND;
    a ^= last;
    digest found;
    c ^= 0xee;
    for (int i = 0; i < 4; i++) ROUND;
    found.low = a ^ b ^ c ^ d;
    b ^= 0xdd;
    for (int i = 0; i < 4; i++) ROUND;
    found.high = a ^ b ^ c ^ d;
    return found;
}

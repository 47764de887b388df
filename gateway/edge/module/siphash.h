/* SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012): who does not know the key finds no two inputs with the same
 * digest. */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t low, high;
} digest;

digest siphash(const uint64_t key[2], const void *data, size_t length);

/* The log beside a plain count: a batch is always whole, within its bounds, and what does not fit is counted. */
#include "log.h"

#include <string.h>

#include "check.h"

#define LONGEST 2048u
#define MOST_RECORDS 65536u
#define MOST_BYTES (32u << 20) /* what who reads it takes */
#define BATCHES 60

static char bytes[3 * LONGEST];

static text any(struct chance *chance, uint32_t longest) {
    text one = {bytes + chance_of(chance, LONGEST), chance_of(chance, longest + 1)};
    return chance_of(chance, 8) ? one : (text){NULL, 0};
}

static void check_batch(const char *frame, size_t length, size_t count, uint64_t dropped) {
    uint32_t told[2];
    uint64_t told_dropped;
    memcpy(told, frame, sizeof told);
    memcpy(&told_dropped, frame + 8, sizeof told_dropped);
    CHECK(told[0] + 4u == length && told[1] == count && told_dropped == dropped && length <= MOST_BYTES);
    size_t ends = 0, at = 16 + count * sizeof(struct record_numbers);
    for (size_t i = at; i < length; i++) ends += frame[i] == 0;
    CHECK(ends == RECORD_TEXTS * count); /* whatever the texts are made of, each has one end */
    CHECK(count == 0 || frame[length - 1] == 0);
}

static void batch(struct chance *chance, size_t records, uint32_t longest) {
    struct log log = {0};
    text texts[RECORD_TEXTS];
    size_t length = 0;
    CHECK(log_take(&log, &length) == NULL);
    for (size_t i = 0; i < records; i++) {
        for (int j = 0; j < RECORD_TEXTS; j++) texts[j] = any(chance, longest);
        log_add(&log, &(struct record_numbers){.time = i}, texts);
        CHECK(log.count <= MOST_RECORDS && log.count + log.dropped == i + 1);
    }
    size_t count = log.count, dropped = log.dropped;
    char *frame = log_take(&log, &length);
    if (records) check_batch(frame, length, count, dropped);
    free(frame);
    CHECK(log.count == 0 && log.dropped == 0);
    log_free(&log);
}

int main(int count, char **given) {
    struct chance chance = chance_from(count, given);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = chance_of(&chance, 100) ? 'a' + i % 26 : 0;
    for (int i = 0; i < BATCHES; i++) batch(&chance, chance_of(&chance, 300), 2 * LONGEST);
    batch(&chance, 20000, 2 * LONGEST);    /* beyond its bytes */
    batch(&chance, MOST_RECORDS + 1000, 2); /* beyond its records */
}

/* Lines that begin as a sensor's and are damaged by chance, cut anywhere and of any bytes: what is read of them lies
 * within what was given, under a sanitizer that watches each byte, and says nothing but what JSON may. */
#include "check.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

int64_t eve_read(uint8_t *page, size_t size, bool ascii, size_t count, int64_t *starts, int64_t *lengths,
                 int64_t *numbers, uint8_t *kinds);
extern const char eve_cells[], eve_numbers[];

enum { ROUNDS = 60000, MOST = 8, ROOM = 8192 };

static const char *const LINES[] = {
    "{\"timestamp\":\"2021-06-06T15:59:46.457984+0200\",\"flow_id\":7,\"event_type\":\"flow\",\"src_ip\":\"10.0.0.1\","
    "\"dest_ip\":\"10.0.0.2\",\"dest_port\":443,\"proto\":\"TCP\",\"flow\":{\"bytes_toserver\":60,\"bytes_toclient\":9,"
    "\"start\":\"2021-06-06T15:59:46.457984+0200\",\"end\":\"2021-06-06T15:59:47+0200\",\"state\":\"closed\"}}",
    "{\"timestamp\":\"t\",\"event_type\":\"dns\",\"src_ip\":\"a\",\"dest_ip\":\"b\",\"dns\":{\"type\":\"answer\","
    "\"rcode\":\"NXDOMAIN\",\"queries\":[{\"rrname\":\"a\\/b\",\"rrtype\":\"A\"},{\"rrname\":\"c\"}],\"x\":[1,[2,{}]]}}",
    "{\"timestamp\":\"t\",\"event_type\":\"alert\",\"alert\":{\"signature\":\"s\\u00e9\",\"severity\":-1.5,\"m\":null},"
    "\"http\":{\"url\":\"\\/a\\\"?b\",\"status\":200,\"length\":12,\"hostname\":\"h\",\"http_method\":\"GET\"}}",
    "{ \"event_type\" : \"stats\" , \"stats\" : { \"a\" : [ true , false , \"\\ud83d\" ] } }",
    "",
};
static const char DAMAGE[] = "{}[]\",:\\u0919.-ntf \n\x01\x7f\x80\xff/?";

static size_t count_of(const char *names) {
    size_t count = 1;
    for (; *names; names++) count += *names == ' ';
    return count;
}

static size_t write_lines(struct chance *chance, uint8_t *into, size_t lines) {
    size_t size = 0;
    for (size_t line = 0; line < lines; line++) {
        const char *text = LINES[chance_of(chance, sizeof LINES / sizeof *LINES)];
        size_t length = strlen(text), from = chance_of(chance, 6) ? 0 : chance_of(chance, length + 1);
        memcpy(into + size, text + from, length - from);
        for (uint32_t faults = chance_of(chance, 4); length > from && faults; faults--)
            into[size + chance_of(chance, length - from)] = DAMAGE[chance_of(chance, sizeof DAMAGE - 1)];
        size += length - from;
        if (!chance_of(chance, 8)) size -= chance_of(chance, length - from + 1);
        into[size++] = '\n';
    }
    return size;
}

static void read_once(struct chance *chance, size_t cells, size_t numbers) {
    static uint8_t lines[ROOM];
    size_t size = write_lines(chance, lines, 1 + chance_of(chance, MOST)), count = 0;
    for (size_t at = 0; at < size; at++) count += lines[at] == '\n';
    uint8_t *page = malloc(2 * size + 8), *kinds = malloc(count); /* exactly as much as is asked for */
    int64_t *starts = malloc(8 * cells * count), *lengths = malloc(8 * cells * count), *told = malloc(8 * numbers * count);
    memcpy(page, lines, size);
    size_t used = eve_read(page, size, chance_of(chance, 2), count, starts, lengths, told, kinds);
    CHECK(used >= size && used <= 2 * size);
    CHECK(memcmp(page, lines, size) == 0);
    for (size_t row = 0; row < count; row++) {
        if (kinds[row] == 255) continue;
        CHECK(kinds[row] <= 5 || kinds[row] == 254);
        for (size_t cell = row; cell < cells * count; cell += count) {
            CHECK(starts[cell] >= 0 && lengths[cell] >= 0 && (size_t)(starts[cell] + lengths[cell]) <= used);
            CHECK(!memchr(page + starts[cell], '\n', lengths[cell]) || (size_t)starts[cell] >= size);
        }
        for (size_t number = row; number < numbers * count; number += count) CHECK(told[number] >= 0);
    }
    free(page), free(kinds), free(starts), free(lengths), free(told);
}

int main(int count, char **given) {
    struct chance chance = chance_from(count, given);
    size_t cells = count_of(eve_cells), numbers = count_of(eve_numbers);
    for (int round = 0; round < ROUNDS; round++) read_once(&chance, cells, numbers);
    return 0;
}

#include "log.h"

#include <stdlib.h>
#include <string.h>

#define MOST_RECORDS 65536u
#define MOST_TEXT (16u << 20) /* bytes */
#define LONGEST_TEXT 2048u    /* bytes of one */

struct batch_head {
    uint32_t length; /* of what follows it */
    uint32_t count;
    uint64_t dropped;
};

/* A NUL within it would end it for who reads it, and make another record's text of the rest. */
static void append(struct log *log, text one) {
    size_t length = one.length < LONGEST_TEXT ? one.length : LONGEST_TEXT;
    char *at = log->texts + log->length;
    if (length) memcpy(at, one.data, length);
    for (char *nul = at; (nul = memchr(nul, 0, at + length - nul)) != NULL;) *nul = '?';
    log->length += length;
    log->texts[log->length++] = 0;
}

static void *grown(void *block, size_t bytes) {
    void *made = realloc(block, bytes);
    if (made == NULL) abort();
    return made;
}

/* Room doubles as it is needed; what was taken is given back when the batch is sent. */
static bool has_room(struct log *log) {
    size_t most = RECORD_TEXTS * (LONGEST_TEXT + 1);
    if (log->count >= MOST_RECORDS || log->length + most > MOST_TEXT) return false;
    if ((log->count & (log->count - 1)) == 0)
        log->numbers = grown(log->numbers, (log->count ? 2 * log->count : 1) * sizeof *log->numbers);
    if (log->room < log->length + most) log->texts = grown(log->texts, log->room = 2 * (log->length + most));
    return true;
}

void log_add(struct log *log, const struct record_numbers *numbers, const text texts[RECORD_TEXTS]) {
    if (!has_room(log)) {
        log->dropped++;
        return;
    }
    log->numbers[log->count++] = *numbers;
    for (int i = 0; i < RECORD_TEXTS; i++) append(log, texts[i]);
}

char *log_take(struct log *log, size_t *length) {
    if (log->count == 0 && log->dropped == 0) return NULL;
    size_t numbers = log->count * sizeof *log->numbers;
    struct batch_head head = {.count = log->count, .dropped = log->dropped};
    *length = sizeof head + numbers + log->length;
    head.length = *length - sizeof head.length;
    char *frame = grown(NULL, *length);
    memcpy(frame, &head, sizeof head);
    if (numbers) memcpy(frame + sizeof head, log->numbers, numbers);
    if (log->length) memcpy(frame + sizeof head + numbers, log->texts, log->length);
    log_free(log);
    return frame;
}

void log_free(struct log *log) {
    free(log->numbers);
    free(log->texts);
    memset(log, 0, sizeof *log);
}

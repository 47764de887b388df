/* Whatever bytes come as an answer are refused, or read within their bounds. */
#include "frames.h"

#include <string.h>

#include "check.h"

#define CASES 1000000
#define HEAD 60u /* bytes of an answer's before its buckets */

static const char DECISION_TEXT[] = "decision";

/* A whole answer. */
static size_t whole(struct chance *chance, unsigned char *into) {
    uint32_t lengths[SAIDS] = {sizeof DECISION_TEXT - 1};
    uint16_t status = chance_of(chance, 2) ? 200 : 403;
    size_t at = HEAD;
    memset(into, 0, HEAD);
    into[0] = ANSWER;
    into[1] = status == 200;
    memcpy(into + 2, &status, sizeof status);
    into[16] = chance_of(chance, 4);
    into[17] = chance_of(chance, 5);
    for (unsigned i = 0; i < 2u * into[17]; i++) into[at++] = chance_next(chance);
    memcpy(into + at, DECISION_TEXT, lengths[0]);
    at += lengths[0];
    for (int i = 1; i < SAIDS; i++) {
        lengths[i] = chance_of(chance, 9);
        memset(into + at, 'a' + i, lengths[i]);
        at += lengths[i];
    }
    memcpy(into + 20, lengths, sizeof lengths);
    return at;
}

/* Some bytes of it changed, to what is at the edge of something as often as not; some of its end gone. */
static size_t mutated(struct chance *chance, unsigned char *frame, size_t length) {
    static const unsigned char EDGES[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    for (uint32_t i = chance_of(chance, 6); i > 0; i--) {
        size_t at = chance_of(chance, 2) ? chance_of(chance, HEAD) : chance_of(chance, length);
        frame[at] = chance_of(chance, 2) ? EDGES[chance_of(chance, sizeof EDGES)] : chance_next(chance);
    }
    return chance_of(chance, 3) ? length : chance_of(chance, length + 1);
}

static void check_answer(const struct answer *answer, size_t length) {
    const char *end = (const char *)answer + answer->bytes;
    unsigned sum = 0;
    CHECK(answer->references == 1 && answer->bytes <= sizeof *answer + length);
    CHECK(answer->allowed ? answer->status == 200 : answer->status >= 400 && answer->status < 600);
    CHECK(answer->said[DECISION].length > 0 && answer->varies <= BY_QUERY);
    CHECK((uintptr_t)answer->buckets % _Alignof(uint16_t) == 0);
    for (unsigned i = 0; i < answer->bucket_count; i++) sum += answer->buckets[i];
    for (int i = 0; i < SAIDS; i++) {
        CHECK(answer->said[i].data >= answer->content && answer->said[i].data + answer->said[i].length <= end);
        for (size_t at = 0; at < answer->said[i].length; at++) sum += answer->said[i].data[at];
    }
    volatile unsigned read = sum; /* every byte was */
    (void)read;
}

/* `data` in memory of just that size, so that a byte too far is found. */
static bool once(const unsigned char *data, size_t length) {
    char *frame = malloc(length ? length : 1);
    enum kind kind;
    uint64_t id;
    memcpy(frame, data, length);
    struct answer *answer = frame_head(frame, length, &kind, &id) && kind == ANSWER ? answer_read(frame, length) : NULL;
    free(frame);
    if (answer) check_answer(answer, length);
    answer_release(answer);
    return answer != NULL;
}

static void check_statuses(struct chance *chance) {
    unsigned char frame[256];
    for (uint32_t status = 0; status <= UINT16_MAX; status++) {
        size_t length = whole(chance, frame);
        frame[1] = 0;
        memcpy(frame + 2, &(uint16_t){status}, 2);
        CHECK(once(frame, length) == (status >= 400 && status < 600));
    }
}

/* What a question says, in memory of just its size. */
static void check_question(struct chance *chance) {
    static const char BYTES[300] = {0};
    struct request request = {.content = CONTENT_NONE};
    for (int i = 0; i < FIELDS; i++)
        if (chance_of(chance, 2)) request.field[i] = (text){BYTES, chance_of(chance, sizeof BYTES)};
    size_t bytes = question_size(&request);
    char *into = malloc(bytes);
    struct question_head head;
    question_write(into, &request, 7);
    memcpy(&head, into, sizeof head);
    CHECK(head.length + 4 == bytes && head.id == 7 && head.kind == 1);
    for (int i = 0; i < FIELDS; i++) CHECK(head.lengths[i] == request.field[i].length);
    free(into);
}

int main(int count, char **given) {
    struct chance chance = chance_from(count, given);
    unsigned char frame[512];
    unsigned read = 0;
    check_statuses(&chance);
    for (int i = 0; i < CASES / 100; i++) check_question(&chance);
    for (int i = 0; i < CASES; i++) {
        size_t length = mutated(&chance, frame, whole(&chance, frame));
        read += once(frame, length);
    }
    CHECK(read > CASES / 10 && read < CASES * 9 / 10);
    printf("%d answers, %u of them read\n", CASES, read);
}

#include "frames.h"

#include <stdlib.h>
#include <string.h>

struct __attribute__((packed)) answer_head {
    uint8_t kind;
    uint8_t allowed;
    uint16_t status;
    uint64_t id;
    uint32_t ttl_ms;
    uint8_t varies;
    uint8_t buckets;
    uint16_t reserved;
    uint32_t lengths[SAIDS];
};

_Static_assert(sizeof(struct question_head) == 16 + 4 * FIELDS, "as gateway/enforcement/frames.py reads it");
_Static_assert(sizeof(struct answer_head) == 20 + 4 * SAIDS, "as gateway/enforcement/frames.py writes it");

size_t question_size(const struct request *request) {
    size_t bytes = sizeof(struct question_head);
    for (int i = 0; i < FIELDS; i++) bytes += request->field[i].length;
    return bytes;
}

void question_write(char *into, const struct request *request, uint64_t id) {
    struct question_head head = {.kind = 1, .content = request->content, .id = id};
    head.length = question_size(request) - sizeof head.length;
    char *at = into + sizeof head;
    for (int i = 0; i < FIELDS; i++) {
        head.lengths[i] = request->field[i].length;
        if (head.lengths[i]) memcpy(at, request->field[i].data, head.lengths[i]);
        at += head.lengths[i];
    }
    memcpy(into, &head, sizeof head);
}

bool frame_head(const char *frame, size_t length, enum kind *kind, uint64_t *id) {
    if (length < 12 || (frame[0] != HELLO && frame[0] != ANSWER)) return false;
    *kind = frame[0];
    memcpy(id, frame + 4, sizeof *id);
    return true;
}

struct answer *answer_read(const char *frame, size_t length) {
    struct answer_head head;
    if (length < sizeof head) return NULL;
    memcpy(&head, frame, sizeof head);
    size_t buckets = head.buckets * sizeof(uint16_t), left = length - sizeof head;
    if (left < buckets) return NULL;
    left -= buckets;
    struct answer *answer = malloc(sizeof *answer + buckets + left);
    if (answer == NULL) abort();
    *answer = (struct answer){.references = 1, .allowed = head.allowed == 1 && head.status == 200, .status = head.status,
                              .ttl_ms = head.ttl_ms, .varies = head.varies & BY_QUERY, .bucket_count = head.buckets,
                              .buckets = (uint16_t *)answer->content, .bytes = sizeof *answer + buckets + left};
    memcpy(answer->content, frame + sizeof head, buckets + left);
    const char *at = answer->content + buckets;
    for (int i = 0; i < SAIDS; i++) {
        if (head.lengths[i] > left) {
            free(answer);
            return NULL;
        }
        answer->said[i] = (text){at, head.lengths[i]};
        at += head.lengths[i];
        left -= head.lengths[i];
    }
    bool refused = head.status >= 400 && head.status < 600;
    if (answer->said[DECISION].length > 0 && (answer->allowed || refused)) return answer;
    free(answer);
    return NULL;
}

void answer_release(struct answer *answer) {
    if (answer != NULL && --answer->references == 0) free(answer);
}

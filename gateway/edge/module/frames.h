/* What is said between a worker of Envoy and a judge, on one stream socket: frames of a length and a kind, little
 * endian. `gateway/enforcement/frames.py` reads and writes the same. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"

#define LARGEST_FRAME (2u << 20) /* bytes: the longest body and headers that the edge lets through fit */

enum kind { HELLO = 1, ANSWER = 2 };
enum said { DECISION, SUBJECT, ACTOR, TRANSACTION, ADDRESS, CHALLENGE, NONCE, EFFECT, ROUTE, REFUSAL, SAIDS };
enum varies { BY_QUERY = 1 };

/* A judge's answer to one question. */
struct answer {
    uint32_t references; /* of the worker that asked: only its own thread counts them */
    bool allowed;
    uint16_t status;
    uint32_t ttl_ms; /* for how long it is the answer to the same question; 0 for this one alone */
    uint8_t varies;  /* what else the question must have in common */
    uint8_t bucket_count;
    uint16_t *buckets; /* whom it speaks of: a signal that touches one of them ends it */
    text said[SAIDS];
    size_t bytes; /* that it takes */
    char content[];
};

struct question_head {
    uint32_t length; /* of what follows it */
    uint8_t kind;
    uint8_t content;
    uint16_t reserved;
    uint64_t id;
    uint32_t lengths[FIELDS];
};

size_t question_size(const struct request *);
void question_write(char *into, const struct request *, uint64_t id);

/* A frame's kind and, of an answer, the question's id; false where it is neither. `frame` is without its length. */
bool frame_head(const char *frame, size_t length, enum kind *kind, uint64_t *id);

/* The answer in a frame, NULL where it is malformed. */
struct answer *answer_read(const char *frame, size_t length);
void answer_release(struct answer *);

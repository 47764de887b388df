/* What the gateway needs of a request to judge it, as views of Envoy's own memory. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "claims.h"

enum field { METHOD, TARGET, HOST, FORWARDED, AUTHORIZATION, CERTIFICATE, DPOP, SIGNATURE, SIGNATURE_INPUT,
             SIGNATURE_AGENT, CONTENT_DIGEST, BODY, FIELDS };

/* What is known of a request's content; the gateway reads the same numbers in a question. */
enum content { CONTENT_NONE = 1, CONTENT_SHOWN = 2, CONTENT_UNREAD = 4 };

struct request {
    text field[FIELDS];
    enum content content;
    bool grpc;
    char *owned[FIELDS]; /* where a field is not Envoy's memory but ours */
};

/* The head of a filter's request, once what is claimed there is gone (NULL where it is already). False where it has more
 * headers than anybody sends. */
bool request_read(struct request *, envoy_filter, const struct claims *);

/* And its content: what Envoy has buffered, with what has just come where that is `received`. */
void request_read_body(struct request *, envoy_filter, bool received);

void request_free(struct request *);

/* Whether it proves something by itself, so that its answer is for it alone. */
bool request_proves(const struct request *);

#include "request.h"

#include <stdlib.h>
#include <string.h>

#define MOST_HEADERS 512 /* the listener takes fewer */

static bool is(const header *one, const char *name) { return memcmp(one->key, name, one->key_length) == 0; }

static int field_of(const header *one) {
    switch (one->key_length) {
    case 4: return is(one, "dpop") ? DPOP : -1;
    case 5: return is(one, ":path") ? TARGET : -1;
    case 7: return is(one, ":method") ? METHOD : -1;
    case 9: return is(one, "signature") ? SIGNATURE : -1;
    case 10: return is(one, ":authority") ? HOST : -1;
    case 13: return is(one, "authorization") ? AUTHORIZATION : -1;
    case 14: return is(one, "content-digest") ? CONTENT_DIGEST : -1;
    case 15:
        if (is(one, "x-forwarded-for")) return FORWARDED;
        if (is(one, "signature-input")) return SIGNATURE_INPUT;
        return is(one, "signature-agent") ? SIGNATURE_AGENT : -1;
    case 23: return is(one, "x-forwarded-client-cert") ? CERTIFICATE : -1;
    default: return -1;
    }
}

static bool is_grpc(const header *one) {
    return one->key_length == 12 && is(one, "content-type") && one->value_length >= 16 &&
           memcmp(one->value, "application/grpc", 16) == 0;
}

static char *room(size_t bytes) {
    char *made = malloc(bytes ? bytes : 1);
    if (made == NULL) abort();
    return made;
}

/* A name that comes again is one line, joined as RFC 9110 section 5.3 says. */
static void join(struct request *request, int field, const header *one) {
    text known = request->field[field];
    char *joined = room(known.length + 1 + one->value_length);
    memcpy(joined, known.data, known.length);
    joined[known.length] = ',';
    memcpy(joined + known.length + 1, one->value, one->value_length);
    free(request->owned[field]);
    request->owned[field] = joined;
    request->field[field] = (text){joined, known.length + 1 + one->value_length};
}

static void note(struct request *request, const header *one) {
    int field = field_of(one);
    request->grpc |= is_grpc(one);
    if (field < 0) return;
    if (request->field[field].data == NULL)
        request->field[field] = (text){one->value, one->value_length};
    else
        join(request, field, one);
}

bool request_read(struct request *request, envoy_filter filter, const struct claims *claims) {
    header headers[MOST_HEADERS];
    size_t count;
    memset(request, 0, sizeof *request);
    do {
        count = envoy_dynamic_module_callback_http_get_headers_size(filter, REQUEST_HEADERS);
        if (count > MOST_HEADERS || !envoy_dynamic_module_callback_http_get_headers(filter, REQUEST_HEADERS, headers))
            return false;
    } while (claims && claims_strip(claims, filter, headers, count));
    for (size_t i = 0; i < count; i++) note(request, &headers[i]);
    return true;
}

static size_t append(char *into, envoy_filter filter, int kind) {
    size_t count = envoy_dynamic_module_callback_http_get_body_chunks_size(filter, kind), written = 0;
    if (count == 0) return 0;
    text *chunks = (text *)room(count * sizeof *chunks);
    if (envoy_dynamic_module_callback_http_get_body_chunks(filter, kind, chunks))
        for (size_t i = 0; i < count; i++) {
            memcpy(into + written, chunks[i].data, chunks[i].length);
            written += chunks[i].length;
        }
    free(chunks);
    return written;
}

void request_read_body(struct request *request, envoy_filter filter, bool received) {
    size_t bytes = envoy_dynamic_module_callback_http_get_body_size(filter, BUFFERED_REQUEST_BODY);
    if (received) bytes += envoy_dynamic_module_callback_http_get_body_size(filter, RECEIVED_REQUEST_BODY);
    char *body = room(bytes);
    size_t written = append(body, filter, BUFFERED_REQUEST_BODY);
    if (received) written += append(body + written, filter, RECEIVED_REQUEST_BODY);
    request->owned[BODY] = body;
    request->field[BODY] = (text){body, written};
}

void request_free(struct request *request) {
    for (int i = 0; i < FIELDS; i++) free(request->owned[i]);
}

bool request_proves(const struct request *request) {
    return request->field[DPOP].data || request->field[SIGNATURE].data || request->field[SIGNATURE_INPUT].data;
}

#include "claims.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_NAME 256u /* a longer one is judged by its beginning, and goes as a whole */

struct claim {
    struct claim *next;
    bool begins; /* it is the beginning of names */
    size_t length;
    char name[];
};

struct claims {
    struct claim *by_first[256];
};

/* What Envoy itself has put there by now, in place of the caller's. */
static const text OF_ENVOY[] = {{"x-forwarded-for", 15},
                                {"x-forwarded-proto", 17},
                                {"x-forwarded-client-cert", 23},
                                {"x-envoy-external-address", 24}};

struct claims *claims_new(void) { return calloc(1, sizeof(struct claims)); }

void claims_free(struct claims *claims) {
    for (unsigned i = 0; i < 256; i++)
        for (struct claim *claim = claims->by_first[i], *next; claim; claim = next) {
            next = claim->next;
            free(claim);
        }
    free(claims);
}

void claims_add(struct claims *claims, text name) {
    if (name.length == 0) return;
    bool begins = name.data[name.length - 1] == '*';
    struct claim *claim = malloc(sizeof *claim + name.length);
    if (claim == NULL) abort();
    claim->begins = begins;
    claim->length = name.length - begins;
    memcpy(claim->name, name.data, claim->length);
    struct claim **list = &claims->by_first[(unsigned char)claim->name[0]];
    claim->next = *list;
    *list = claim;
}

static bool of_envoy(const header *one) {
    for (unsigned i = 0; i < sizeof OF_ENVOY / sizeof *OF_ENVOY; i++)
        if (OF_ENVOY[i].length == one->key_length && memcmp(OF_ENVOY[i].data, one->key, one->key_length) == 0)
            return true;
    return false;
}

static bool claimed(const struct claims *claims, const header *one) {
    if (one->key_length == 0) return false;
    for (const struct claim *claim = claims->by_first[(unsigned char)one->key[0]]; claim; claim = claim->next)
        if (claim->length <= one->key_length && (claim->begins || claim->length == one->key_length) &&
            memcmp(claim->name, one->key, claim->length) == 0)
            return !of_envoy(one);
    return false;
}

/* Its own copy of the name: removing the header frees the one that Envoy has. */
static void strip(envoy_filter filter, int kind, const header *one) {
    char few[LONGEST_NAME], *name = one->key_length <= sizeof few ? few : malloc(one->key_length);
    if (name == NULL) abort();
    memcpy(name, one->key, one->key_length);
    envoy_dynamic_module_callback_http_set_header(filter, kind, (text){name, one->key_length}, (text){NULL, 0});
    if (name != few) free(name);
}

/* One after the other: what Envoy tells of headers holds only until one is changed. */
bool claims_strip(const struct claims *claims, envoy_filter filter, const header *headers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (claimed(claims, &headers[i])) {
            strip(filter, REQUEST_HEADERS, &headers[i]);
            return true;
        }
    return false;
}

void claims_drop_trailers(envoy_filter filter) {
    size_t count = envoy_dynamic_module_callback_http_get_headers_size(filter, REQUEST_TRAILERS);
    header *trailers = malloc((count ? count : 1) * sizeof *trailers);
    if (trailers == NULL) abort();
    for (size_t left = count; left > 0 && count > 0; left--) {
        if (!envoy_dynamic_module_callback_http_get_headers(filter, REQUEST_TRAILERS, trailers)) break;
        strip(filter, REQUEST_TRAILERS, trailers);
        count = envoy_dynamic_module_callback_http_get_headers_size(filter, REQUEST_TRAILERS);
    }
    free(trailers);
}

/* Headers by which a caller could claim to be somebody: names, and beginnings of names. */
#pragma once
#include <stdbool.h>

#include "envoy.h"

struct claims;

struct claims *claims_new(void);
void claims_free(struct claims *);

/* `name` in lower case; one that ends in `*` is a beginning. */
void claims_add(struct claims *, text name);

/* Take the first of them from the request. Whether there was one: then views of its headers are to be made anew. */
bool claims_strip(const struct claims *, envoy_filter, const header *headers, size_t count);

/* Take all trailers from the request: what they claim comes when it is judged already, and some services believe it as
 * if it stood in the head. What speaks HTTP/1 here never has any. */
void claims_drop_trailers(envoy_filter);

/* A strict reader of one line of JSON (RFC 8259). Whatever it is not sure of it calls odd: another reader, slower and of
 * the last word, then looks at that line. Each line ends with '\n' and eight bytes may be read beyond the last one, so
 * that nothing here needs to know where the memory ends: no token holds a line's end. */
#ifndef PORTCULLIS_JSON_H
#define PORTCULLIS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
    const uint8_t *at; /* what is read next */
    bool ascii;        /* a byte beyond ASCII is odd: the block is not known to be UTF-8 */
};

enum escapes { PLAIN, ESCAPED, CODED }; /* CODED: by a number, as in \u00e9 */

struct text {
    const uint8_t *at; /* without its quotes */
    size_t size;
    enum escapes escapes;
};

enum more { MORE, NO_MORE, ODD };

/* All return false, or ODD, where the line is odd; then `at` says nothing. */
bool json_text(struct json *in, struct text *text);           /* at its opening quote */
bool json_number(struct json *in, struct text *number);       /* as it is written */
bool json_skip(struct json *in, int depth);                   /* a value of any kind, so many levels deep at most */
enum more json_key(struct json *in, bool *first, struct text *key); /* after `{`; then `at` is at the key's value */
enum more json_item(struct json *in, bool *first);            /* after `[`; then `at` is at an item */

/* Writes what an ESCAPED text says, which is no longer than the text itself; returns where it ends. */
uint8_t *json_unescape(const struct text *text, uint8_t *into);

#endif

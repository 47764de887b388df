#include "json.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie");

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define HIGH EACH(0x80)

/* In the highest bit of each byte whether it is below 0x20, a quote or a backslash. Only the first one is to be relied
 * upon (Henry S. Warren, "Hacker's Delight", "Find First 0-Byte"). */
static inline uint64_t stops(uint64_t word) {
    uint64_t quote = word ^ EACH('"'), backslash = word ^ EACH('\\');
    return (((word - EACH(0x20)) & ~word) | ((quote - EACH(1)) & ~quote) | ((backslash - EACH(1)) & ~backslash)) & HIGH;
}

static inline void skip_spaces(struct json *in) {
    while (*in->at == ' ' || *in->at == '\t' || *in->at == '\r') in->at++;
}

static int hexadecimal(uint8_t letter) {
    if (letter >= '0' && letter <= '9') return letter - '0';
    letter |= 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* Four digits of a character that is not half of a pair. */
static bool is_code(const uint8_t *at) {
    int code = 0;
    for (int digit = 0; digit < 4; digit++) {
        int value = hexadecimal(at[digit]); /* a line's end is no digit: nothing is read beyond it */
        if (value < 0) return false;
        code = code * 16 + value;
    }
    return code < 0xD800 || code > 0xDFFF;
}

static uint8_t escaped(uint8_t letter) {
    switch (letter) {
    case '"': case '\\': case '/': return letter;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return 0;
    }
}

bool json_text(struct json *in, struct text *text) {
    const uint8_t *at = in->at + 1;
    const uint64_t beyond = in->ascii ? HIGH : 0;
    *text = (struct text){at, 0, PLAIN};
    for (;;) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t found = stops(word) | (word & beyond);
        if (!found) {
            at += sizeof word;
            continue;
        }
        at += __builtin_ctzll(found) / 8;
        if (*at == '"') break;
        if (*at != '\\') return false;
        if (escaped(at[1])) {
            if (text->escapes == PLAIN) text->escapes = ESCAPED;
            at += 2;
        } else {
            if (at[1] != 'u' || !is_code(at + 2)) return false;
            text->escapes = CODED;
            at += 6;
        }
    }
    text->size = at - text->at;
    in->at = at + 1;
    return true;
}

uint8_t *json_unescape(const struct text *text, uint8_t *into) {
    const uint8_t *end = text->at + text->size;
    for (const uint8_t *at = text->at; at < end; at++) *into++ = *at == '\\' ? escaped(*++at) : *at;
    return into;
}

static bool is_digit(uint8_t letter) { return letter >= '0' && letter <= '9'; }

bool json_number(struct json *in, struct text *number) {
    const uint8_t *at = in->at + (*in->at == '-');
    if (!is_digit(*at)) return false;
    const uint8_t *first = at;
    while (is_digit(*at)) at++;
    if (*first == '0' && at - first > 1) return false;
    if (*at == '.') {
        if (!is_digit(*++at)) return false;
        while (is_digit(*at)) at++;
    }
    if (*at == 'e' || *at == 'E') return false; /* it may be more than any number holds */
    *number = (struct text){in->at, at - in->at, PLAIN};
    in->at = at;
    return true;
}

static bool literal(struct json *in, const char *word, size_t size) {
    if (strncmp((const char *)in->at, word, size) != 0) return false;
    in->at += size;
    return true;
}

/* After an opening brace or bracket: whether another member follows. */
static enum more next(struct json *in, bool *first, uint8_t closing) {
    skip_spaces(in);
    bool begins = *first;
    *first = false;
    if (*in->at == closing) {
        in->at++;
        return NO_MORE;
    }
    if (begins) return MORE;
    if (*in->at++ != ',') return ODD;
    skip_spaces(in);
    return MORE;
}

enum more json_key(struct json *in, bool *first, struct text *key) {
    enum more more = next(in, first, '}');
    if (more != MORE) return more;
    if (*in->at != '"' || !json_text(in, key) || key->escapes != PLAIN) return ODD;
    skip_spaces(in);
    if (*in->at++ != ':') return ODD;
    skip_spaces(in);
    return MORE;
}

enum more json_item(struct json *in, bool *first) { return next(in, first, ']'); }

bool json_skip(struct json *in, int depth) {
    struct text text;
    enum more more;
    bool first = true;
    switch (*in->at) {
    case '"': return json_text(in, &text);
    case 't': return literal(in, "true", 4);
    case 'f': return literal(in, "false", 5);
    case 'n': return literal(in, "null", 4);
    case '{':
        in->at++;
        while ((more = json_key(in, &first, &text)) == MORE)
            if (!depth || !json_skip(in, depth - 1)) return false;
        return more == NO_MORE;
    case '[':
        in->at++;
        while ((more = json_item(in, &first)) == MORE)
            if (!depth || !json_skip(in, depth - 1)) return false;
        return more == NO_MORE;
    default: return json_number(in, &text);
    }
}

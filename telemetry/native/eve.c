/* Suricata's EVE JSON, many records at once: where in the block each text lies that is read, and what the numbers are.
 * What the fields mean is Python's to say (telemetry/sources/eve_block.py). */
#include "json.h"

#include <string.h>

enum { DEPTH = 60 }; /* of what is skipped; deeper is odd */

enum cell {
    TIMESTAMP, SRC_IP, DEST_IP, PROTO, APP_PROTO, FLOW_ID,
    START, END, STATE, REASON,
    HOSTNAME, URL, METHOD,
    SNI,
    ALERT, /* the object, as it is written */
    RRNAME, RRTYPE, RCODE, MESSAGE,
    ASKED_NAME, ASKED_TYPE, /* of the first question in a list of them */
    CELLS,
    OTHER_NAME = CELLS, OTHER_TYPE, /* of the others */
    ALL_CELLS,
};
enum number { PORT, TO_SERVER, TO_CLIENT, STATUS, LENGTH, QUESTIONS_ASKED, NUMBERS };
enum part { COMMON, FLOW, HTTP, TLS, ALERTED, DNS, QUESTIONS, PARTS };
enum kind { IGNORED, OF_ALERT, OF_FLOW, OF_DNS, OF_HTTP, OF_TLS, EMPTY = 254, ODD_LINE = 255 };

const char eve_cells[] = "timestamp src_ip dest_ip proto app_proto flow_id start end state reason hostname url method"
                         " sni alert rrname rrtype rcode message asked_name asked_type";
const char eve_numbers[] = "dest_port bytes_toserver bytes_toclient status length questions";
const char eve_kinds[] = "ignored alert flow dns http tls";

enum take { TEXT, PATH, NUMBER, IDENTIFIER, OBJECT, RAW, LIST, TYPE };

struct field {
    const char *name;
    uint8_t size;
    enum take take;
    uint8_t place; /* of a cell, a number or a part */
    int64_t most;
};

struct scope {
    const struct field *fields;
    size_t count;
    enum part part;
};

#define NAMED(name) name, sizeof(name) - 1
#define SCOPE(part, ...) {(const struct field[]){__VA_ARGS__}, sizeof((struct field[]){__VA_ARGS__}) / sizeof(struct field), part}
#define COUNT_MOST INT64_MAX
#define PORT_MOST 65535
#define STATUS_MOST 32767

static const struct scope COMMON_FIELDS = SCOPE(COMMON,
    {NAMED("timestamp"), TEXT, TIMESTAMP, 0}, {NAMED("flow_id"), IDENTIFIER, FLOW_ID, COUNT_MOST},
    {NAMED("event_type"), TYPE, 0, 0}, {NAMED("src_ip"), TEXT, SRC_IP, 0}, {NAMED("dest_ip"), TEXT, DEST_IP, 0},
    {NAMED("dest_port"), NUMBER, PORT, PORT_MOST}, {NAMED("proto"), TEXT, PROTO, 0},
    {NAMED("app_proto"), TEXT, APP_PROTO, 0}, {NAMED("flow"), OBJECT, FLOW, 0}, {NAMED("dns"), OBJECT, DNS, 0},
    {NAMED("http"), OBJECT, HTTP, 0}, {NAMED("tls"), OBJECT, TLS, 0}, {NAMED("alert"), RAW, ALERT, 0});
static const struct scope PART_FIELDS[PARTS] = {
    [FLOW] = SCOPE(FLOW, {NAMED("bytes_toserver"), NUMBER, TO_SERVER, COUNT_MOST},
        {NAMED("bytes_toclient"), NUMBER, TO_CLIENT, COUNT_MOST}, {NAMED("start"), TEXT, START, 0},
        {NAMED("end"), TEXT, END, 0}, {NAMED("state"), TEXT, STATE, 0}, {NAMED("reason"), TEXT, REASON, 0}),
    [HTTP] = SCOPE(HTTP, {NAMED("hostname"), TEXT, HOSTNAME, 0}, {NAMED("url"), PATH, URL, 0},
        {NAMED("http_method"), TEXT, METHOD, 0}, {NAMED("status"), NUMBER, STATUS, STATUS_MOST},
        {NAMED("length"), NUMBER, LENGTH, COUNT_MOST}),
    [TLS] = SCOPE(TLS, {NAMED("sni"), TEXT, SNI, 0}),
    [DNS] = SCOPE(DNS, {NAMED("rrname"), TEXT, RRNAME, 0}, {NAMED("rrtype"), TEXT, RRTYPE, 0},
        {NAMED("rcode"), TEXT, RCODE, 0}, {NAMED("type"), TEXT, MESSAGE, 0}, {NAMED("queries"), LIST, QUESTIONS, 0}),
};
static const struct scope FIRST_QUESTION =
    SCOPE(DNS, {NAMED("rrname"), TEXT, ASKED_NAME, 0}, {NAMED("rrtype"), TEXT, ASKED_TYPE, 0});
static const struct scope OTHER_QUESTION =
    SCOPE(DNS, {NAMED("rrname"), TEXT, OTHER_NAME, 0}, {NAMED("rrtype"), TEXT, OTHER_TYPE, 0});

#define BIT(place) (UINT32_C(1) << (place))

/* Of each kind: which parts it has to have, and which must be as they should be. */
static const struct { const char *name; uint8_t size; uint32_t needs, reads; } KINDS[] = {
    [OF_ALERT] = {NAMED("alert"), BIT(ALERTED), BIT(ALERTED) | BIT(HTTP) | BIT(FLOW)},
    [OF_FLOW] = {NAMED("flow"), BIT(FLOW), BIT(FLOW)},
    [OF_DNS] = {NAMED("dns"), BIT(DNS), BIT(DNS)},
    [OF_HTTP] = {NAMED("http"), BIT(HTTP), BIT(HTTP)},
    [OF_TLS] = {NAMED("tls"), BIT(TLS), BIT(TLS)},
};

struct span { const uint8_t *at; size_t size; };

struct line {
    struct json in;
    uint8_t *spare;             /* where texts go that were escaped */
    struct span cells[ALL_CELLS];
    int64_t numbers[NUMBERS];
    uint32_t cells_told, numbers_told, told, bad; /* bits of cells, numbers and parts */
    enum kind kind;
    bool typed;
};

static const struct field *find(const struct scope *scope, const struct text *key) {
    for (const struct field *field = scope->fields; field < scope->fields + scope->count; field++)
        if (field->size == key->size && memcmp(field->name, key->at, key->size) == 0) return field;
    return NULL;
}

/* Whether it is told for the first time; where a field is told twice the last one counts, and the line is odd. */
static bool first_time(uint32_t *told, unsigned place) {
    bool first = !(*told & BIT(place));
    *told |= BIT(place);
    return first;
}

static bool take_text(struct line *line, const struct field *field) {
    struct text text;
    if (!json_text(&line->in, &text) || text.escapes == CODED) return false;
    struct span *cell = &line->cells[field->place];
    *cell = (struct span){text.at, text.size};
    if (text.escapes == ESCAPED) {
        cell->at = line->spare;
        line->spare = json_unescape(&text, line->spare);
        cell->size = line->spare - cell->at;
    }
    if (field->take == PATH) {
        const uint8_t *query = memchr(cell->at, '?', cell->size);
        if (query) cell->size = query - cell->at;
    }
    return first_time(&line->cells_told, field->place);
}

/* A whole number within its bounds, written plainly; false where the line is odd. */
static bool take_number(struct line *line, const struct field *field) {
    struct text digits;
    if (!json_number(&line->in, &digits) || digits.size > 18) return false;
    int64_t number = 0;
    for (size_t at = 0; at < digits.size; at++) {
        if (digits.at[at] < '0') return false; /* a sign or a point */
        number = number * 10 + (digits.at[at] - '0');
    }
    if (number > field->most) return false;
    if (field->take == IDENTIFIER) {
        line->cells[field->place] = (struct span){digits.at, number ? digits.size : 0};
        return first_time(&line->cells_told, field->place);
    }
    line->numbers[field->place] = number;
    return first_time(&line->numbers_told, field->place);
}

static bool take_type(struct line *line) {
    struct text name;
    if (line->typed || !json_text(&line->in, &name) || name.escapes != PLAIN) return false;
    line->typed = true;
    for (enum kind kind = OF_ALERT; kind <= OF_TLS; kind++)
        if (KINDS[kind].size == name.size && memcmp(KINDS[kind].name, name.at, name.size) == 0) line->kind = kind;
    return name.size != 4 || memcmp(name.at, "dhcp", 4) != 0; /* few, and not all are read */
}

static bool read_object(struct line *line, const struct scope *scope);

static bool take_questions(struct line *line) {
    enum more more;
    bool first = true;
    const struct scope *question = &FIRST_QUESTION;
    if (!first_time(&line->told, QUESTIONS)) return false;
    line->in.at++;
    while ((more = json_item(&line->in, &first)) == MORE) {
        if (*line->in.at != '{' || !read_object(line, question)) return false;
        question = &OTHER_QUESTION;
        line->numbers[QUESTIONS_ASKED]++;
        line->cells_told &= ~(BIT(OTHER_NAME) | BIT(OTHER_TYPE));
    }
    return more == NO_MORE;
}

static bool take_raw(struct line *line, const struct field *field) {
    const uint8_t *start = line->in.at;
    if (!first_time(&line->told, ALERTED) || !json_skip(&line->in, DEPTH)) return false;
    line->cells[field->place] = (struct span){start, line->in.at - start};
    return true;
}

/* One field's value; of what has not its type the part is bad. */
static bool take(struct line *line, const struct scope *scope, const struct field *field) {
    uint8_t begins = *line->in.at;
    switch (field->take) {
    case TEXT: case PATH:
        if (begins == '"') return take_text(line, field);
        break;
    case TYPE:
        return begins == '"' && take_type(line);
    case NUMBER: case IDENTIFIER:
        if (begins >= '0' && begins <= '9') return take_number(line, field);
        break;
    case OBJECT:
        if (begins == '{') return first_time(&line->told, field->place) && read_object(line, &PART_FIELDS[field->place]);
        line->bad |= BIT(field->place);
        return json_skip(&line->in, DEPTH);
    case RAW:
        if (begins == '{') return take_raw(line, field);
        line->bad |= BIT(ALERTED);
        return json_skip(&line->in, DEPTH);
    case LIST:
        if (begins == '[') return take_questions(line);
        break;
    }
    line->bad |= BIT(scope->part);
    return json_skip(&line->in, DEPTH);
}

static bool read_object(struct line *line, const struct scope *scope) {
    struct text key;
    enum more more;
    bool first = true;
    line->in.at++;
    while ((more = json_key(&line->in, &first, &key)) == MORE) {
        const struct field *field = find(scope, &key);
        if (!(field ? take(line, scope, field) : json_skip(&line->in, DEPTH))) return false;
    }
    return more == NO_MORE;
}

static enum kind judge(const struct line *line) {
    if (!line->typed || line->bad & BIT(COMMON)) return ODD_LINE;
    if (line->kind == IGNORED) return IGNORED;
    uint32_t needs = BIT(TIMESTAMP) | (line->kind == OF_ALERT ? 0 : BIT(SRC_IP) | BIT(DEST_IP));
    if ((line->cells_told & needs) != needs) return ODD_LINE;
    if ((line->told & KINDS[line->kind].needs) != KINDS[line->kind].needs) return ODD_LINE;
    return line->bad & KINDS[line->kind].reads ? ODD_LINE : line->kind;
}

static enum kind read_line(struct line *line) {
    if (*line->in.at == '\n') return EMPTY;
    if (*line->in.at != '{' || !read_object(line, &COMMON_FIELDS) || *line->in.at != '\n') return ODD_LINE;
    return judge(line);
}

/* Reads `count` lines. `page` holds `size` bytes of them, the last one '\n', room for as many more, and eight beyond;
 * `ascii` says that they are not known to be UTF-8. Of line i, cell c is the `lengths[c * count + i]` bytes of the page
 * from `starts[c * count + i]` on, number n is `numbers[n * count + i]`, and `kinds[i]` says what to make of it.
 * Cells that a line does not tell are empty, its numbers 0; of an odd line they say nothing.
 * Returns how many bytes of the page are in use. */
int64_t eve_read(uint8_t *page, size_t size, bool ascii, size_t count, int64_t *starts, int64_t *lengths,
                 int64_t *numbers, uint8_t *kinds) {
    const uint8_t *at = page, *end = page + size;
    uint8_t *spare = page + size;
    for (size_t row = 0; row < count && at < end; row++) {
        struct line line = {.in = {at, ascii}, .spare = spare};
        kinds[row] = read_line(&line);
        if (kinds[row] == ODD_LINE) line.in.at = memchr(at, '\n', end - at);
        else spare = line.spare;
        at = line.in.at + 1;
        for (size_t cell = 0; cell < CELLS; cell++) {
            starts[cell * count + row] = line.cells[cell].at ? line.cells[cell].at - page : 0;
            lengths[cell * count + row] = line.cells[cell].size;
        }
        for (size_t number = 0; number < NUMBERS; number++) numbers[number * count + row] = line.numbers[number];
    }
    return spare - page;
}

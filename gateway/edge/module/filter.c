#define _GNU_SOURCE
/* The filter in front of every service: it knows the answer, or asks for it, and lets nothing pass without one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "claims.h"
#include "gate.h"

enum mode { JUDGED, TETHERED, OPEN }; /* by us, by the tether behind us, by nobody: the edge's own endpoints */
enum stage { BEGUN, READING, PEEKING, WAITING, OVER };

struct route {
    enum mode mode;
    uint32_t body_bytes; /* of content that is shown to the judge; 0 for none */
    char binding[24];    /* what an answer must be for (gateway/routing.py) */
    struct limit limit;  /* of each caller */
};

enum counter { KNOWN, ASKED_ABOUT, REFUSED, UNAVAILABLE, LIMITED, COUNTERS };

struct config {
    struct gate *gate;
    struct claims *claims; /* what callers may not say */
    size_t counter[COUNTERS]; /* Envoy's numbers of them */
};

struct filter {
    envoy_filter envoy;
    const struct config *config;
    struct worker *worker;
    enum stage stage;
    struct route route;
    uint32_t slot;
    bool again; /* it has been asked before, and who was asked is gone */
    bool grpc;
    bool overruled; /* refused by the edge itself, whatever its answer says */
    enum content content;
    struct answer *answer;
    struct timespec came; /* by the wall clock */
    uint64_t came_ns;
};

#define MOST_WAIT_NS (1ull << 60) /* what a limit may make of its times: added to any time it is one still */
#define TEXT(literal) ((text){literal, sizeof(literal) - 1})
static const text NOTHING = {NULL, 0};
static const text TETHER = {"envoy.filters.http.ext_proc", 27};
static const struct route NOWHERE = {.mode = JUDGED};

static void count(struct filter *filter, enum counter counter) {
    envoy_dynamic_module_callback_http_filter_increment_counter(filter->envoy, filter->config->counter[counter], NULL, 0, 1);
}

/* -- answers -------------------------------------------------------------------------------------------------------- */

static void set(struct filter *filter, int kind, text key, text value) {
    envoy_dynamic_module_callback_http_set_header(filter->envoy, kind, key, value);
}

static size_t add(header *headers, size_t some, text key, text value) {
    if (value.length == 0) return some;
    headers[some] = (header){key.data, key.length, value.data, value.length};
    return some + 1;
}

/* What a gRPC client is told in place of an HTTP status (the table of grpc/doc/http-grpc-status-mapping.md, which knows 429
 * only from proxies that do not speak gRPC: a limit that is used up is RESOURCE_EXHAUSTED). */
static text grpc_status(uint32_t status) {
    switch (status) {
    case 400: return TEXT("13");
    case 401: return TEXT("16");
    case 403: return TEXT("7");
    case 429: return TEXT("8");
    case 503: return TEXT("14");
    default: return TEXT("2");
    }
}

/* `headers` has room for two more. */
static void respond(struct filter *filter, uint32_t status, header *headers, size_t some, text body, text details) {
    filter->stage = OVER;
    /* Envoy makes it a gRPC answer by itself, but one that says that all is well. */
    if (filter->grpc) some = add(headers, some, TEXT("grpc-status"), grpc_status(status));
    else some = add(headers, some, TEXT("content-type"), TEXT("application/json"));
    envoy_dynamic_module_callback_http_send_response(filter->envoy, status, headers, some, body, details);
}

static void refuse(struct filter *filter, const struct answer *answer) {
    header headers[5];
    size_t some = add(headers, 0, TEXT("x-portcullis-decision"), answer->said[DECISION]);
    some = add(headers, some, TEXT("www-authenticate"), answer->said[CHALLENGE]);
    some = add(headers, some, TEXT("dpop-nonce"), answer->said[NONCE]);
    count(filter, REFUSED);
    respond(filter, answer->status, headers, some, answer->said[REFUSAL], TEXT("portcullis_denied"));
}

static void unavailable(struct filter *filter, text why) {
    header headers[2];
    count(filter, UNAVAILABLE);
    respond(filter, 503, headers, 0, TEXT("{\"error\":\"unavailable\",\"reasons\":[\"unavailable\"]}"), why);
}

static void refuse_route(struct filter *filter) {
    header headers[2];
    filter->overruled = true;
    count(filter, REFUSED);
    respond(filter, 403, headers, 0, TEXT("{\"error\":\"forbidden\",\"reasons\":[\"other_route\"]}"),
            TEXT("portcullis_other_route"));
}

/* Too early. Who comes again after so many seconds finds one request free, if nobody else took it. */
static void refuse_rate(struct filter *filter, const struct answer *answer, uint64_t wait_ns) {
    header headers[4];
    char seconds[24];
    size_t length = snprintf(seconds, sizeof seconds, "%" PRIu64, (wait_ns + 999999999u) / 1000000000u);
    size_t some = add(headers, 0, TEXT("x-portcullis-decision"), answer->said[DECISION]);
    some = add(headers, some, TEXT("retry-after"), (text){seconds, length});
    filter->overruled = true;
    count(filter, LIMITED);
    respond(filter, 429, headers, some, TEXT("{\"error\":\"too_many_requests\",\"reasons\":[\"rate_limited\"]}"),
            TEXT("portcullis_limited"));
}

/* What goes to the service: who asks, in our words, and nothing that the caller proved itself by. */
static void admit(struct filter *filter, const struct request *request, const struct answer *answer) {
    static const struct {
        enum field field;
        text name;
    } PROOFS[] = {{AUTHORIZATION, {"authorization", 13}},
                  {CERTIFICATE, {"x-forwarded-client-cert", 23}},
                  {DPOP, {"dpop", 4}},
                  {SIGNATURE, {"signature", 9}},
                  {SIGNATURE_INPUT, {"signature-input", 15}}};
    for (unsigned i = 0; i < sizeof PROOFS / sizeof *PROOFS; i++)
        if (request->field[PROOFS[i].field].data) set(filter, REQUEST_HEADERS, PROOFS[i].name, NOTHING);
    set(filter, REQUEST_HEADERS, TEXT("x-envoy-external-address"), NOTHING); /* Envoy's own idea: it may be a proxy's */
    set(filter, REQUEST_HEADERS, TEXT("x-portcullis-decision"), answer->said[DECISION]);
    set(filter, REQUEST_HEADERS, TEXT("x-portcullis-subject"), answer->said[SUBJECT]);
    set(filter, REQUEST_HEADERS, TEXT("x-portcullis-actor"), answer->said[ACTOR]);
    if (answer->said[TRANSACTION].length)
        set(filter, REQUEST_HEADERS, TEXT("txn-token"), answer->said[TRANSACTION]);
    if (answer->said[ADDRESS].length) set(filter, REQUEST_HEADERS, TEXT("x-forwarded-for"), answer->said[ADDRESS]);
    filter->stage = OVER;
}

/* Only what is allowed counts. It counts for who acts: an agent does not have more for each person that it acts for, and
 * takes nothing from them. False where it is answered 429. */
static bool within_limit(struct filter *filter, const struct answer *answer) {
    if (filter->route.limit.interval_ns == 0) return true;
    text who = answer->said[ACTOR].length ? answer->said[ACTOR] : answer->said[SUBJECT];
    uint64_t wait_ns = worker_draw(filter->worker, &filter->route.limit, who);
    if (wait_ns) refuse_rate(filter, answer, wait_ns);
    return wait_ns == 0;
}

/* -- questions ------------------------------------------------------------------------------------------------------ */

/* Envoy found its route before the gateway was asked, and both may change theirs. */
static bool for_this_route(const struct filter *filter, const struct answer *answer) {
    text bound = answer->said[ROUTE];
    return bound.length > 0 && bound.length == strlen(filter->route.binding) &&
           memcmp(bound.data, filter->route.binding, bound.length) == 0;
}

static void ask(struct filter *filter, struct request *request) {
    request->content = filter->content;
    filter->slot = worker_ask(filter->worker, request, filter->envoy, request_proves(request));
    filter->stage = WAITING;
    if (filter->slot != NOT_ASKED) count(filter, ASKED_ABOUT);
    else unavailable(filter, TEXT("portcullis_unasked"));
}

/* Whether its answer could be that of the same question again. */
static bool repeats(const struct filter *filter, const struct request *request) {
    return filter->content != CONTENT_SHOWN && !request_proves(request);
}

/* The head of the request again, and its content where that is shown: Envoy has kept both. */
static bool read_again(struct filter *filter, struct request *request, bool received) {
    if (!request_read(request, filter->envoy, NULL)) return false;
    if (filter->content == CONTENT_SHOWN) request_read_body(request, filter->envoy, received);
    request->content = filter->content;
    return true;
}

static void ask_again(struct filter *filter, bool received) {
    struct request request;
    if (read_again(filter, &request, received)) {
        ask(filter, &request);
        request_free(&request);
    } else {
        unavailable(filter, TEXT("portcullis_unreadable"));
    }
}

static int begin(struct filter *filter, struct request *request, bool end) {
    filter->content = end ? CONTENT_NONE : CONTENT_UNREAD;
    if (!end && filter->route.body_bytes) {
        envoy_dynamic_module_callback_http_set_buffer_limit(filter->envoy, filter->route.body_bytes + 1u);
        filter->content = CONTENT_SHOWN;
        filter->stage = READING;
        return HEADERS_STOP;
    }
    if (!end && request->field[SIGNATURE_INPUT].data) { /* in HTTP/2 only what comes tells whether there is content */
        filter->stage = PEEKING;
        return HEADERS_STOP;
    }
    struct answer *known = repeats(filter, request) ? worker_known(filter->worker, request) : NULL;
    if (known && for_this_route(filter, known)) {
        count(filter, KNOWN);
        filter->answer = known;
        if (!within_limit(filter, known)) return HEADERS_STOP;
        admit(filter, request, known);
        return HEADERS_CONTINUE;
    }
    answer_release(known);
    ask(filter, request);
    return HEADERS_STOP_ALL;
}

static void keep(struct filter *filter, const struct request *request, uint64_t instance, uint64_t sequence,
                 uint64_t asked_ns) {
    if (filter->answer->ttl_ms && repeats(filter, request))
        worker_keep(filter->worker, request, filter->answer, instance, sequence, asked_ns);
}

/* -- hooks ---------------------------------------------------------------------------------------------------------- */

const char *envoy_dynamic_module_on_program_init(void) { return ENVOY_ABI; }

/* Settings are lines of a name, a blank and a value. */
static bool setting(struct settings *settings, struct claims *claims, const char *line) {
    if (strncmp(line, "strip ", 6) == 0) {
        claims_add(claims, (text){line + 6, strlen(line + 6)});
        return true;
    }
    if (sscanf(line, "run %87[^\n]", settings->run) == 1) return strlen(line) - 4 == strlen(settings->run);
    return sscanf(line, "judges %u", &settings->judges) == 1 ||
           sscanf(line, "timeout_ms %u", &settings->timeout_ms) == 1 ||
           sscanf(line, "flush_ms %u", &settings->flush_ms) == 1 ||
           sscanf(line, "cache_bytes %zu", &settings->cache_bytes) == 1;
}

static const void *configured(void *envoy, const struct settings *settings, struct claims *claims) {
    static const text NAMES[COUNTERS] = {{"known", 5}, {"asked", 5}, {"refused", 7}, {"unavailable", 11}, {"limited", 7}};
    struct config *config = calloc(1, sizeof *config);
    if (config == NULL || (config->gate = gate_acquire(settings)) == NULL) {
        free(config);
        return NULL;
    }
    config->claims = claims;
    for (int i = 0; i < COUNTERS; i++)
        envoy_dynamic_module_callback_http_filter_config_define_counter(envoy, NAMES[i], NULL, 0, &config->counter[i]);
    return config;
}

const void *envoy_dynamic_module_on_http_filter_config_new(void *envoy, text name, text given) {
    (void)name;
    struct settings settings;
    memset(&settings, 0, sizeof settings);
    char *lines = strndup(given.data, given.length), *rest = NULL;
    struct claims *claims = claims_new();
    bool read = lines != NULL && claims != NULL;
    for (char *line = strtok_r(lines, "\n", &rest); read && line; line = strtok_r(NULL, "\n", &rest))
        read = setting(&settings, claims, line);
    free(lines);
    read = read && settings.run[0] && settings.judges && settings.timeout_ms && settings.flush_ms;
    const void *config = read ? configured(envoy, &settings, claims) : NULL;
    if (config == NULL && claims) claims_free(claims);
    return config;
}

void envoy_dynamic_module_on_http_filter_config_destroy(const void *given) {
    struct config *config = (struct config *)given;
    if (config) {
        gate_release(config->gate);
        claims_free(config->claims);
    }
    free((void *)given);
}

const void *envoy_dynamic_module_on_http_filter_per_route_config_new(text name, text given) {
    (void)name;
    char line[128] = {0}, mode[16] = {0};
    struct route *route = calloc(1, sizeof *route);
    if (route == NULL || given.length >= sizeof line) {
        free(route);
        return NULL;
    }
    struct limit *limit = &route->limit;
    memcpy(line, given.data, given.length);
    if (sscanf(line, "%15s %23s %" SCNu32 " %" SCNu64 " %" SCNu32 " %" SCNx64, mode, route->binding, &route->body_bytes,
               &limit->interval_ns, &limit->burst, &limit->scope) != 6 ||
        (limit->interval_ns && (limit->burst == 0 || limit->interval_ns > MOST_WAIT_NS / limit->burst))) {
        free(route);
        return NULL;
    }
    route->mode = strcmp(mode, "open") == 0 ? OPEN : strcmp(mode, "tethered") == 0 ? TETHERED : JUDGED;
    return route;
}

void envoy_dynamic_module_on_http_filter_per_route_config_destroy(const void *route) { free((void *)route); }

const void *envoy_dynamic_module_on_http_filter_new(const void *config, envoy_filter envoy) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (filter == NULL) return NULL;
    filter->envoy = envoy;
    filter->slot = NOT_ASKED;
    filter->came_ns = clock_ns();
    clock_gettime(CLOCK_REALTIME, &filter->came);
    filter->config = config;
    filter->worker =
        gate_worker(filter->config->gate, envoy_dynamic_module_callback_http_filter_get_worker_index(envoy));
    if (filter->worker) return filter;
    free(filter);
    return NULL;
}

int envoy_dynamic_module_on_http_filter_request_headers(envoy_filter envoy, const void *given, bool end) {
    struct filter *filter = (struct filter *)given;
    const struct route *route = envoy_dynamic_module_callback_get_most_specific_route_config(envoy);
    filter->route = route ? *route : NOWHERE;
    struct request request;
    if (!request_read(&request, envoy, filter->config->claims)) {
        unavailable(filter, TEXT("portcullis_unreadable"));
        return HEADERS_STOP;
    }
    filter->grpc = request.grpc;
    int status = filter->route.mode == JUDGED ? begin(filter, &request, end) : HEADERS_CONTINUE;
    request_free(&request);
    return status;
}

static size_t body_size(envoy_filter envoy) {
    return envoy_dynamic_module_callback_http_get_body_size(envoy, BUFFERED_REQUEST_BODY) +
           envoy_dynamic_module_callback_http_get_body_size(envoy, RECEIVED_REQUEST_BODY);
}

static void read_on(struct filter *filter, bool end) {
    header headers[2];
    if (body_size(filter->envoy) > filter->route.body_bytes)
        respond(filter, 413, headers, 0, TEXT("{\"error\":\"too_large\"}"), TEXT("portcullis_too_large"));
    else if (end)
        ask_again(filter, true);
}

int envoy_dynamic_module_on_http_filter_request_body(envoy_filter envoy, const void *given, bool end) {
    struct filter *filter = (struct filter *)given;
    if (filter->route.mode != JUDGED) return BODY_CONTINUE;
    if (filter->stage == PEEKING) {
        bool some = envoy_dynamic_module_callback_http_get_body_size(envoy, RECEIVED_REQUEST_BODY) > 0;
        if (!some && !end) return BODY_STOP_AND_BUFFER;
        filter->content = some ? CONTENT_UNREAD : CONTENT_NONE;
        ask_again(filter, false);
    } else if (filter->stage == READING) {
        read_on(filter, end);
    }
    if (filter->stage == READING) return BODY_STOP_AND_BUFFER;
    return filter->stage == WAITING ? BODY_STOP_AND_WATERMARK : BODY_CONTINUE;
}

int envoy_dynamic_module_on_http_filter_request_trailers(envoy_filter envoy, const void *given) {
    struct filter *filter = (struct filter *)given;
    claims_drop_trailers(envoy);
    if (filter->stage == READING || filter->stage == PEEKING) ask_again(filter, false);
    return filter->stage == WAITING ? TRAILERS_STOP : TRAILERS_CONTINUE;
}

void envoy_dynamic_module_on_http_filter_scheduled(envoy_filter envoy, const void *given, uint64_t event) {
    (void)event;
    struct filter *filter = (struct filter *)given;
    if (filter->stage != WAITING || filter->slot == NOT_ASKED) return;
    uint64_t instance, sequence, asked_ns;
    enum outcome outcome = worker_take(filter->worker, filter->slot, &filter->answer, &instance, &sequence, &asked_ns);
    filter->slot = NOT_ASKED;
    struct request request;
    if (!read_again(filter, &request, false)) {
        unavailable(filter, TEXT("portcullis_unreadable"));
        return;
    }
    if (outcome == LOST && !filter->again && !request_proves(&request)) {
        filter->again = true;
        ask(filter, &request);
    } else if (outcome != ANSWERED) {
        unavailable(filter, outcome == LATE ? TEXT("portcullis_late") : TEXT("portcullis_lost"));
    } else if (!filter->answer->allowed) {
        refuse(filter, filter->answer);
    } else if (!for_this_route(filter, filter->answer)) {
        refuse_route(filter);
    } else {
        keep(filter, &request, instance, sequence, asked_ns);
        if (within_limit(filter, filter->answer)) {
            admit(filter, &request, filter->answer);
            envoy_dynamic_module_callback_http_filter_continue_decoding(envoy);
        }
    }
    request_free(&request);
}

int envoy_dynamic_module_on_http_filter_response_headers(envoy_filter envoy, const void *given, bool end) {
    (void)envoy, (void)end;
    struct filter *filter = (struct filter *)given;
    if (filter->route.mode != JUDGED) return HEADERS_CONTINUE;
    /* A service may not speak for the gateway. */
    set(filter, RESPONSE_HEADERS, TEXT("x-portcullis-decision"), filter->answer ? filter->answer->said[DECISION] : NOTHING);
    set(filter, RESPONSE_HEADERS, TEXT("x-portcullis-subject"), NOTHING);
    set(filter, RESPONSE_HEADERS, TEXT("x-portcullis-actor"), NOTHING);
    set(filter, RESPONSE_HEADERS, TEXT("x-portcullis-effect"), NOTHING);
    return HEADERS_CONTINUE;
}

/* -- what became of it ---------------------------------------------------------------------------------------------- */

static void said_by_answer(const struct answer *answer, text *texts) {
    texts[RECORD_DECISION] = answer->said[DECISION];
    texts[RECORD_SUBJECT] = answer->said[SUBJECT];
    texts[RECORD_ACTOR] = answer->said[ACTOR];
    texts[RECORD_EFFECT] = answer->said[EFFECT];
    if (answer->said[ADDRESS].length) texts[RECORD_ADDRESS] = answer->said[ADDRESS];
}

static void said_by_tether(struct filter *filter, text *texts) {
    static const struct {
        enum record_text text;
        text key;
    } SAID[] = {{RECORD_DECISION, {"x-portcullis-decision", 21}},
                {RECORD_SUBJECT, {"x-portcullis-subject", 20}},
                {RECORD_ACTOR, {"x-portcullis-actor", 18}},
                {RECORD_EFFECT, {"x-portcullis-effect", 19}},
                {RECORD_ADDRESS, {"x-forwarded-for", 15}}};
    for (unsigned i = 0; i < sizeof SAID / sizeof *SAID; i++) {
        text found = NOTHING;
        if (envoy_dynamic_module_callback_http_get_metadata_string(filter->envoy, DYNAMIC_METADATA, TETHER, SAID[i].key,
                                                                   &found))
            texts[SAID[i].text] = found;
    }
}

/* The last address is who opened the connection. */
static text last_of(text list) {
    size_t start = list.length;
    while (start && list.data[start - 1] != ',' && list.data[start - 1] != ' ') start--;
    return (text){list.data + start, list.length - start};
}

static void said_by_request(struct filter *filter, const struct request *request, text *texts) {
    text target = request->field[TARGET];
    const char *mark = target.length ? memchr(target.data, '?', target.length) : NULL;
    texts[RECORD_METHOD] = request->field[METHOD];
    texts[RECORD_PATH] = (text){target.data, mark ? (size_t)(mark - target.data) : target.length};
    texts[RECORD_ADDRESS] = last_of(request->field[FORWARDED]);
    envoy_dynamic_module_callback_http_get_cluster_name(filter->envoy, &texts[RECORD_CLUSTER]);
}

/* Of a request that the edge refused before it read so far: who opened the connection, without the port. */
static void said_by_connection(struct filter *filter, text *texts) {
    text address = NOTHING;
    if (!envoy_dynamic_module_callback_http_filter_get_attribute_string(filter->envoy, ATTRIBUTE_SOURCE_ADDRESS, &address))
        return;
    while (address.length && address.data[address.length - 1] != ':') address.length--;
    if (address.length) address.length--;
    if (address.length > 1 && address.data[0] == '[') address = (text){address.data + 1, address.length - 2};
    texts[RECORD_ADDRESS] = address;
}

static int64_t counted(struct filter *filter, int attribute) {
    uint64_t count = 0;
    return envoy_dynamic_module_callback_http_filter_get_attribute_int(filter->envoy, attribute, &count) ? count : 0;
}

void envoy_dynamic_module_on_http_filter_stream_complete(envoy_filter envoy, const void *given) {
    struct filter *filter = (struct filter *)given;
    struct request request;
    text texts[RECORD_TEXTS] = {{0}};
    struct record_numbers numbers = {
        .time = filter->came.tv_sec + filter->came.tv_nsec * 1e-9,
        .duration = (clock_ns() - filter->came_ns) * 1e-9,
        .bytes_in = counted(filter, ATTRIBUTE_REQUEST_TOTAL_SIZE),
        .bytes_out = counted(filter, ATTRIBUTE_RESPONSE_TOTAL_SIZE),
        .status = counted(filter, ATTRIBUTE_RESPONSE_CODE),
    };
    bool read = request_read(&request, envoy, NULL);
    if (read) said_by_request(filter, &request, texts);
    if (texts[RECORD_ADDRESS].length == 0) said_by_connection(filter, texts);
    if (filter->answer) said_by_answer(filter->answer, texts);
    else if (filter->route.mode == TETHERED) said_by_tether(filter, texts);
    if (filter->overruled) texts[RECORD_EFFECT] = TEXT("deny");
    if (filter->answer == NULL)
        envoy_dynamic_module_callback_http_filter_get_attribute_string(envoy, ATTRIBUTE_RESPONSE_CODE_DETAILS,
                                                                       &texts[RECORD_DETAILS]);
    worker_log(filter->worker, &numbers, texts);
    if (read) request_free(&request);
}

void envoy_dynamic_module_on_http_filter_destroy(const void *given) {
    struct filter *filter = (struct filter *)given;
    if (filter->slot != NOT_ASKED) worker_forget(filter->worker, filter->slot);
    answer_release(filter->answer);
    free(filter);
}

/* -- hooks that Envoy wants and we do not --------------------------------------------------------------------------- */

int envoy_dynamic_module_on_http_filter_response_body(envoy_filter envoy, const void *filter, bool end) {
    (void)envoy, (void)filter, (void)end;
    return BODY_CONTINUE;
}

int envoy_dynamic_module_on_http_filter_response_trailers(envoy_filter envoy, const void *filter) {
    (void)envoy, (void)filter;
    return TRAILERS_CONTINUE;
}

void envoy_dynamic_module_on_http_filter_http_callout_done(void) {}
void envoy_dynamic_module_on_http_filter_http_stream_headers(void) {}
void envoy_dynamic_module_on_http_filter_http_stream_data(void) {}
void envoy_dynamic_module_on_http_filter_http_stream_trailers(void) {}
void envoy_dynamic_module_on_http_filter_http_stream_complete(void) {}
void envoy_dynamic_module_on_http_filter_http_stream_reset(void) {}
void envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(void) {}
void envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(void) {}

/* What the module is configured with: whatever is no setting of ours is refused, and read within its bounds. */
#include <string.h>

#include "check.h"
#include "envoy.h"
#include "stubs.h"

#define CASES 300000

const void *envoy_dynamic_module_on_http_filter_config_new(void *envoy, text name, text given);
void envoy_dynamic_module_on_http_filter_config_destroy(const void *config);
const void *envoy_dynamic_module_on_http_filter_per_route_config_new(text name, text given);
void envoy_dynamic_module_on_http_filter_per_route_config_destroy(const void *route);

int envoy_dynamic_module_callback_http_filter_config_define_counter(void *config, text name, text *labels, size_t count,
                                                                    size_t *id) {
    (void)config, (void)name, (void)labels;
    *id = count;
    return 0;
}

/* In memory of just its size: it is not ended by a NUL. */
static bool route(const char *line, size_t length) {
    char *given = malloc(length ? length : 1);
    memcpy(given, line, length);
    const void *made = envoy_dynamic_module_on_http_filter_per_route_config_new((text){0}, (text){given, length});
    free(given);
    if (made) envoy_dynamic_module_on_http_filter_per_route_config_destroy(made);
    return made != NULL;
}

static void check_routes(void) {
    static const char *const GOOD[] = {"open - 0 0 0 0", "judged 0123456789abcdef 200000 5000000 400 1fffffffffffffff",
                                       "judged 0123456789abcdef 0 100000000000 1000000 0", "tethered - 0 0 0 0"};
    static const char *const BAD[] = {"", "judged", "judged x 0 0 0", "judged x 0 5 0 0", "judged x y 0 0 0",
                                      "judged x 0 18446744073709551615 2 0",
                                      "judged 0123456789abcdef0123456789abcdef 0 0 0 0"};
    char longest[200];
    for (unsigned i = 0; i < sizeof GOOD / sizeof *GOOD; i++) CHECK(route(GOOD[i], strlen(GOOD[i])));
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) CHECK(!route(BAD[i], strlen(BAD[i])));
    memset(longest, ' ', sizeof longest);
    memcpy(longest, GOOD[0], strlen(GOOD[0]));
    CHECK(!route(longest, sizeof longest));
}

static void check_any_route(struct chance *chance) {
    char line[] = "judged 0123456789abcdef 200000 5000000 400 1fffffffffffffff";
    size_t length = sizeof line - 1;
    for (uint32_t i = chance_of(chance, 5); i > 0; i--) line[chance_of(chance, length)] = chance_next(chance);
    route(line, chance_of(chance, 3) ? length : chance_of(chance, length));
}

static bool settings(const char *lines) {
    size_t length = strlen(lines);
    char *given = malloc(length ? length : 1);
    memcpy(given, lines, length);
    const void *made = envoy_dynamic_module_on_http_filter_config_new(NULL, (text){0}, (text){given, length});
    free(given);
    envoy_dynamic_module_on_http_filter_config_destroy(made); /* of none too */
    return made != NULL;
}

static void check_settings(void) {
    char run[200];
    snprintf(run, sizeof run, "run %0100d\njudges 1\ntimeout_ms 1\nflush_ms 1\n", 7);
    CHECK(!settings(""));
    CHECK(!settings("run .\njudges 1\ntimeout_ms 1\n"));
    CHECK(!settings("run .\njudges 0\ntimeout_ms 1\nflush_ms 1\n"));
    CHECK(!settings("run .\njudges 65\ntimeout_ms 1\nflush_ms 1\n")); /* more than there may be */
    CHECK(!settings("run .\njudges 1\ntimeout_ms 1\nflush_ms 1\nother 1\n"));
    CHECK(!settings(run)); /* longer than a socket's address */
}

int main(int count, char **given) {
    struct chance chance = chance_from(count, given);
    check_routes();
    check_settings();
    for (int i = 0; i < CASES; i++) check_any_route(&chance);
}

/* The cache beside a plain list of all that was ever kept: what it finds is in the list, for the same question, in time,
 * untouched, and the last of its kind; it never holds more than its room. */
#include "cache.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

#define STEPS 300000
#define ROOM (33u << 10)
#define LONGEST 6000u  /* bytes of an address: some 30 such answers fill the room */
#define INSTANCES 2u

static char LONG[17000]; /* more than a key may have */

struct kept {
    struct request request;
    struct answer *answer; /* a reference of ours: a second one is the cache's */
    uint64_t instance, sequence, ends_ns;
};

struct model {
    struct cache *cache;
    struct shared *shared;
    struct kept kept[4096];
    size_t count, found, asked;
    uint64_t now_ns, answers;
};

static text some(struct chance *chance, const char *const *of, uint32_t count) {
    const char *chosen = of[chance_of(chance, count)];
    return (text){chosen, strlen(chosen)};
}

#define SOME(chance, ...) some(chance, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static struct request question(struct chance *chance) {
    struct request request = {.content = CONTENT_NONE};
    request.field[METHOD] = (text){"GET", 3};
    request.field[TARGET] = SOME(chance, "/a", "/a?b");
    request.field[HOST] = (text){"bank", 4};
    request.field[AUTHORIZATION] = SOME(chance, "Bearer 1", "Bearer 2");
    if (chance_of(chance, 2)) return request; /* a usual one */
    request.field[METHOD] = SOME(chance, "GET", "GET", "POST", "GET/");
    request.field[TARGET] = SOME(chance, "/a", "/a?b", "/a?c", "/a?b#", "/a?\x80", "/ab", "/", "a", "/a?");
    request.field[HOST] = SOME(chance, "bank", "bank", "ban", "");
    request.field[AUTHORIZATION] = SOME(chance, "Bearer 1", "Bearer 2", "Bearer 12", "", chance_of(chance, 50) ? "x" : LONG);
    request.field[CERTIFICATE] = SOME(chance, "", "", "2", "c");
    request.field[FORWARDED] = SOME(chance, "10.0.0.1", "10.0.0.1", "10.0.0.2");
    return request;
}

static bool equal(text one, text other) {
    return one.length == other.length && (one.length == 0 || memcmp(one.data, other.data, one.length) == 0);
}

static text path(text target) { return (text){target.data, strcspn(target.data, "?")}; }

static bool same_question(const struct request *one, const struct request *other, uint8_t varies) {
    static const enum field FIELDS_COMPARED[] = {METHOD, HOST, AUTHORIZATION, CERTIFICATE, FORWARDED};
    for (unsigned i = 0; i < 5; i++)
        if (!equal(one->field[FIELDS_COMPARED[i]], other->field[FIELDS_COMPARED[i]])) return false;
    text target = one->field[TARGET], another = other->field[TARGET];
    return varies & BY_QUERY ? equal(target, another) : equal(path(target), path(another));
}

static bool holds(const struct model *model, const struct kept *kept, uint64_t instance) {
    if (kept->instance != instance || model->now_ns >= kept->ends_ns) return false;
    if (model->shared->everything > kept->sequence) return false;
    for (unsigned i = 0; i < kept->answer->bucket_count; i++)
        if (model->shared->touched[kept->answer->buckets[i]] > kept->sequence) return false;
    return true;
}

/* The last that was kept under this key, which the cache has no other than. */
static const struct kept *last_of(const struct model *model, const struct request *request, uint8_t varies) {
    for (size_t i = model->count; i-- > 0;) {
        const struct kept *kept = &model->kept[i];
        if (kept->answer->varies == varies && same_question(&kept->request, request, varies)) return kept;
    }
    return NULL;
}

static void check_room(struct model *model) {
    size_t bytes = 0, left = 0;
    for (size_t i = 0; i < model->count; i++)
        if (model->kept[i].answer->references == 2) bytes += model->kept[i].answer->bytes;
    CHECK(bytes <= ROOM);
    if (model->count + 1 < sizeof model->kept / sizeof *model->kept) return;
    for (size_t i = 0; i < model->count; i++) /* what the cache has let go can never come back */
        if (model->kept[i].answer->references == 2) model->kept[left++] = model->kept[i];
        else answer_release(model->kept[i].answer);
    model->count = left;
}

static struct answer *answer_made(struct model *model, struct chance *chance) {
    unsigned char frame[60 + 8 + 16 + LONGEST] = {ANSWER, 1, 200};
    uint32_t ttl_ms = chance_of(chance, 20), lengths[SAIDS] = {8};
    uint8_t buckets = chance_of(chance, 4);
    uint64_t id = ++model->answers;
    lengths[ADDRESS] = chance_of(chance, chance_of(chance, 2) ? 100 : LONGEST);
    memcpy(frame + 12, &ttl_ms, sizeof ttl_ms);
    frame[16] = chance_of(chance, 2);
    frame[17] = buckets;
    memcpy(frame + 20, lengths, sizeof lengths);
    for (uint8_t i = 0; i < buckets; i++) memcpy(frame + 60 + 2 * i, &(uint16_t){chance_of(chance, 8) * 9362}, 2);
    memcpy(frame + 60 + 2 * buckets, &id, sizeof id);
    struct answer *answer = answer_read((char *)frame, 60 + 2 * buckets + 8 + lengths[ADDRESS]);
    CHECK(answer != NULL);
    return answer;
}

static void keep(struct model *model, struct chance *chance) {
    struct kept kept = {question(chance), answer_made(model, chance), 1 + chance_of(chance, INSTANCES), 0, 0};
    uint64_t asked_ns = model->now_ns - chance_of(chance, 3) * 1000000u;
    kept.sequence = model->shared->sequence - (model->shared->sequence && chance_of(chance, 8) == 0);
    kept.ends_ns = asked_ns + kept.answer->ttl_ms * 1000000u;
    cache_keep(model->cache, &kept.request, kept.answer, kept.instance, kept.sequence, asked_ns);
    model->kept[model->count++] = kept;
    check_room(model);
}

static void find(struct model *model, struct chance *chance) {
    struct request request = question(chance);
    uint64_t instance = 1 + chance_of(chance, INSTANCES);
    struct answer *answer = cache_find(model->cache, &request, model->shared, instance, model->now_ns);
    model->asked++;
    if (answer == NULL) return;
    const struct kept *kept = last_of(model, &request, answer->varies);
    CHECK(kept != NULL && kept->answer == answer && holds(model, kept, instance));
    CHECK(strpbrk(request.field[TARGET].data, "#\x80") == NULL); /* such a query the judge itself refuses */
    model->found++;
    answer_release(answer);
}

static void signal_one(struct model *model, struct chance *chance) {
    uint64_t sequence = model->shared->sequence + 1;
    if (chance_of(chance, 20)) model->shared->touched[chance_of(chance, 8) * 9362] = sequence;
    else model->shared->everything = sequence;
    model->shared->sequence = sequence;
}

static void step(struct model *model, struct chance *chance) {
    uint32_t chosen = chance_of(chance, 100);
    if (chosen < 65) find(model, chance);
    else if (chosen < 96) keep(model, chance);
    else if (chosen < 98) signal_one(model, chance);
    else model->now_ns += chance_of(chance, 5) * 1000000u;
}

int main(int count, char **given) {
    struct chance chance = chance_from(count, given);
    struct model *model = calloc(1, sizeof *model);
    memset(LONG, 'x', sizeof LONG - 1);
    model->shared = calloc(1, sizeof *model->shared);
    model->cache = cache_new(ROOM);
    model->now_ns = 1000000000u;
    for (int i = 0; i < STEPS; i++) step(model, &chance);
    printf("%zu asked, %zu found\n", model->asked, model->found);
    CHECK(model->found > model->asked / 20);
    cache_free(model->cache);
    for (size_t i = 0; i < model->count; i++) {
        CHECK(model->kept[i].answer->references == 1);
        answer_release(model->kept[i].answer);
    }
    free(model->shared);
    free(model);
}

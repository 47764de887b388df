#include "cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "siphash.h"

#define WAYS 8u
#define ORDINARY 1024u    /* bytes of an entry, its answer included */
#define LONGEST_KEY 16384u /* bytes of a question's parts; a longer one is asked each time */
#define VARIETIES 2u      /* of what questions may have in common beside method, host and path: `enum varies` */

struct entry {
    digest key;
    struct answer *answer;
    uint64_t instance, sequence, ends_ns;
    bool used; /* since the hand came by */
};

struct cache {
    uint64_t key[2];
    uint8_t varieties; /* a bit for each combination of `enum varies` that some answer had */
    size_t bytes, room;
    uint32_t sets, hand;
    struct entry entries[];
};

struct cache *cache_new(size_t bytes) {
    uint32_t sets = 1;
    while ((size_t)sets * 2 * WAYS * ORDINARY <= bytes) sets *= 2;
    struct cache *cache = calloc(1, sizeof *cache + (size_t)sets * WAYS * sizeof(struct entry));
    if (cache == NULL || getrandom(cache->key, sizeof cache->key, 0) != sizeof cache->key) abort();
    cache->sets = sets;
    cache->room = bytes;
    return cache;
}

static void drop(struct cache *cache, struct entry *entry) {
    cache->bytes -= entry->answer->bytes;
    answer_release(entry->answer);
    entry->answer = NULL;
}

void cache_free(struct cache *cache) {
    for (uint32_t i = 0; i < cache->sets * WAYS; i++)
        if (cache->entries[i].answer) drop(cache, &cache->entries[i]);
    free(cache);
}

/* A part of a key is its length and its bytes: no two questions make one key. */
static size_t put(char *into, text part) {
    uint32_t length = part.length;
    memcpy(into, &length, sizeof length);
    if (length) memcpy(into + sizeof length, part.data, length);
    return sizeof length + length;
}

static text path_of(text target) {
    const char *mark = target.length ? memchr(target.data, '?', target.length) : NULL;
    return (text){target.data, mark ? (size_t)(mark - target.data) : target.length};
}

/* Whether a judge would let it pass: what it refuses for its query alone is not found under another query. */
static bool ordinary_query(text target) {
    for (size_t i = path_of(target).length; i < target.length; i++)
        if (target.data[i] < '!' || target.data[i] > '~' || target.data[i] == '#') return false;
    return true;
}

/* The digest of who asks, and of what is asked of that, for each variety that is told apart. */
static bool base_of(const struct cache *cache, const struct request *request, digest *base) {
    char parts[LONGEST_KEY];
    const text *field = request->field;
    if (field[AUTHORIZATION].length + field[CERTIFICATE].length + field[FORWARDED].length + 12 > sizeof parts)
        return false;
    size_t length = put(parts, field[AUTHORIZATION]);
    length += put(parts + length, field[CERTIFICATE]);
    length += put(parts + length, field[FORWARDED]);
    *base = siphash(cache->key, parts, length);
    return true;
}

static bool key_of(const struct cache *cache, const struct request *request, digest base, uint8_t varies, digest *key) {
    char parts[LONGEST_KEY];
    const text *field = request->field;
    if (sizeof base + 1 + field[METHOD].length + field[TARGET].length + field[HOST].length + 12 > sizeof parts)
        return false;
    size_t length = sizeof base;
    memcpy(parts, &base, length);
    parts[length++] = varies;
    length += put(parts + length, field[METHOD]);
    length += put(parts + length, varies & BY_QUERY ? field[TARGET] : path_of(field[TARGET]));
    length += put(parts + length, field[HOST]);
    *key = siphash(cache->key, parts, length);
    return true;
}

static struct entry *set_of(struct cache *cache, digest key) {
    return &cache->entries[(key.low & (cache->sets - 1)) * WAYS];
}

static bool same(digest one, digest other) { return one.low == other.low && one.high == other.high; }

static struct answer *valid(struct cache *cache, struct entry *entry, const struct shared *shared, uint64_t instance,
                            uint64_t now_ns) {
    struct answer *answer = entry->answer;
    if (entry->instance != instance || entry->ends_ns <= now_ns ||
        !shared_untouched(shared, entry->sequence, answer->buckets, answer->bucket_count)) {
        drop(cache, entry);
        return NULL;
    }
    entry->used = true;
    answer->references++;
    return answer;
}

struct answer *cache_find(struct cache *cache, const struct request *request, const struct shared *shared,
                          uint64_t instance, uint64_t now_ns) {
    digest base, key;
    if (!cache->varieties || !ordinary_query(request->field[TARGET]) || !base_of(cache, request, &base)) return NULL;
    for (uint8_t varies = 0; varies < VARIETIES; varies++) {
        if (!(cache->varieties & 1u << varies) || !key_of(cache, request, base, varies, &key)) continue;
        struct entry *set = set_of(cache, key);
        for (unsigned way = 0; way < WAYS; way++)
            if (set[way].answer && same(set[way].key, key)) {
                struct answer *answer = valid(cache, &set[way], shared, instance, now_ns);
                if (answer) return answer;
            }
    }
    return NULL;
}

/* The place of this key, else a free one, else that of whom nobody asked for the longest. */
static struct entry *place_of(struct cache *cache, digest key) {
    struct entry *set = set_of(cache, key), *best = set;
    for (unsigned way = 0; way < WAYS; way++) {
        if (set[way].answer && same(set[way].key, key)) return &set[way];
        if (!set[way].answer)
            best = &set[way];
        else if (best->answer && (set[way].used < best->used ||
                                  (set[way].used == best->used && set[way].ends_ns < best->ends_ns)))
            best = &set[way];
    }
    return best;
}

static void make_room(struct cache *cache) {
    while (cache->bytes > cache->room) {
        struct entry *entry = &cache->entries[cache->hand++ % (cache->sets * WAYS)];
        if (entry->answer && !entry->used) drop(cache, entry);
        entry->used = false;
    }
}

void cache_keep(struct cache *cache, const struct request *request, struct answer *answer, uint64_t instance,
                uint64_t sequence, uint64_t asked_ns) {
    digest base, key;
    if (!base_of(cache, request, &base) || !key_of(cache, request, base, answer->varies, &key)) return;
    struct entry *entry = place_of(cache, key);
    if (entry->answer) drop(cache, entry);
    answer->references++;
    cache->bytes += answer->bytes;
    cache->varieties |= 1u << answer->varies;
    *entry = (struct entry){.key = key, .answer = answer, .instance = instance, .sequence = sequence, .used = true,
                            .ends_ns = asked_ns + (uint64_t)answer->ttl_ms * 1000000u};
    make_room(cache);
}

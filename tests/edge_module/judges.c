#define _GNU_SOURCE
#include "judges.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "frames.h"

#define MOST_PEERS 64
#define ROOM (8u << 20) /* bytes of questions that a connection may have under way */
#define HEAD 64u        /* bytes of an answer's, its length included, before its buckets */

struct peer {
    int socket;
    size_t length;
    char *data;
};

struct judge {
    struct judges *judges;
    uint32_t number;
    int listens;
    struct chance chance;
    struct peer peers[MOST_PEERS];
    pthread_t thread;
};

struct judges {
    uint32_t count; /* of judges; one more reads the log */
    uint64_t instance;
    _Atomic bool stop, silent;
    struct judge judge[];
};

static bool put(int to, const void *data, size_t length) { return send(to, data, length, MSG_NOSIGNAL) == (ssize_t)length; }

bool judge_hello(int to, uint64_t instance) {
    struct {
        uint32_t length;
        uint8_t kind, some[3];
        uint64_t instance;
    } frame = {12, HELLO, {0}, instance};
    return put(to, &frame, 16);
}

/* The frame of an answer to question `id`, which says `what`. */
static size_t answer(char *into, uint64_t id, text what, uint16_t status) {
    uint32_t lengths[SAIDS] = {what.length}, length = HEAD - 4 + 2 + what.length, ttl_ms = status == 200 ? 20 : 0;
    memset(into, 0, HEAD);
    memcpy(into, &length, 4);
    into[4] = ANSWER;
    into[5] = status == 200;
    memcpy(into + 6, &status, 2);
    memcpy(into + 8, &id, 8);
    memcpy(into + 16, &ttl_ms, 4);
    into[21] = 1; /* one bucket, the first */
    memcpy(into + 24, lengths, sizeof lengths);
    memset(into + HEAD, 0, 2);
    memcpy(into + HEAD + 2, what.data, what.length);
    return length + 4;
}

bool judge_reply(int to, uint64_t id, text what) {
    char frame[HEAD + 2 + 64];
    return put(to, frame, answer(frame, id, what, 200));
}

static bool in_pieces(int to, uint64_t id, text what) {
    char frame[HEAD + 2 + 64];
    size_t length = answer(frame, id, what, 403), first = length / 3;
    bool sent = put(to, frame, first);
    usleep(500);
    return sent && put(to, frame + first, length - first);
}

static bool malformed(int to, uint64_t id, text what) {
    char frame[HEAD + 2 + 64];
    size_t length = answer(frame, id, what, 200);
    memset(frame + 24 + 4 * SUBJECT, 0xff, 4);
    return put(to, frame, length);
}

static bool garbage(struct judge *judge, int to) {
    uint64_t words[8];
    for (int i = 0; i < 8; i++) words[i] = chance_next(&judge->chance);
    put(to, words, chance_of(&judge->chance, sizeof words));
    return chance_of(&judge->chance, 2);
}

/* False where the connection ends here. */
static bool react(struct judge *judge, int to, uint64_t id, text what) {
    const text wrong = {WRONG, sizeof WRONG - 1};
    uint32_t chosen = chance_of(&judge->chance, 1000);
    if (chosen < 880) return judge_reply(to, id, what);
    if (chosen < 900) return judge_reply(to, id, what) && judge_reply(to, id, wrong); /* a second time */
    if (chosen < 920) return judge_reply(to, id - (1ull << 32), wrong) && judge_reply(to, id, what);
    if (chosen < 930) return judge_reply(to, id | 0xffffu << 16, wrong) && judge_reply(to, id, what);
    if (chosen < 950) return in_pieces(to, id, what);
    if (chosen < 960) return malformed(to, id, what);
    if (chosen < 970) return judge_hello(to, judge->judges->instance) && judge_reply(to, id, what);
    if (chosen < 980) return true; /* never answered */
    if (chosen < 990) return usleep(20000) == 0 && judge_reply(to, id, what);
    if (chosen < 995) return garbage(judge, to);
    return false;
}

/* All whole questions. */
static bool questions(struct judge *judge, struct peer *peer) {
    size_t at = 0;
    bool goes_on = true;
    struct question_head head;
    while (goes_on && peer->length - at >= sizeof head) {
        memcpy(&head, peer->data + at, sizeof head);
        CHECK(head.kind == 1 && head.length <= LARGEST_FRAME);
        if (peer->length - at < head.length + 4u) break;
        text target = {peer->data + at + sizeof head + head.lengths[METHOD], head.lengths[TARGET]};
        if (!judge->judges->silent) goes_on = react(judge, peer->socket, head.id, target);
        at += head.length + 4u;
    }
    memmove(peer->data, peer->data + at, peer->length - at);
    peer->length -= at;
    return goes_on;
}

static bool receive(struct judge *judge, struct peer *peer) {
    CHECK(peer->length < ROOM);
    ssize_t got = recv(peer->socket, peer->data + peer->length, ROOM - peer->length, 0);
    if (got <= 0) return false;
    peer->length += got;
    if (judge->number < judge->judges->count) return questions(judge, peer);
    peer->length = 0; /* the log */
    return chance_of(&judge->chance, 50);
}

static void leave(struct peer *peer) {
    close(peer->socket);
    free(peer->data);
    *peer = (struct peer){.socket = -1};
}

static void welcome(struct judge *judge) {
    int made = accept(judge->listens, NULL, NULL);
    for (int i = 0; made >= 0 && i < MOST_PEERS; i++)
        if (judge->peers[i].socket < 0) {
            judge->peers[i] = (struct peer){made, 0, malloc(ROOM)};
            if (judge->number < judge->judges->count) judge_hello(made, judge->judges->instance);
            return;
        }
    close(made);
}

static void *run(void *given) {
    struct judge *judge = given;
    while (!judge->judges->stop) {
        struct pollfd polled[MOST_PEERS + 1] = {{judge->listens, POLLIN, 0}};
        for (int i = 0; i < MOST_PEERS; i++) polled[i + 1] = (struct pollfd){judge->peers[i].socket, POLLIN, 0};
        poll(polled, MOST_PEERS + 1, 5);
        for (int i = 0; i < MOST_PEERS; i++)
            if (polled[i + 1].revents && !receive(judge, &judge->peers[i])) leave(&judge->peers[i]);
        if (polled[0].revents) welcome(judge);
    }
    close(judge->listens);
    for (int i = 0; i < MOST_PEERS; i++)
        if (judge->peers[i].socket >= 0) leave(&judge->peers[i]);
    return NULL;
}

int judge_listening(const char *run, const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", run, name) < (int)sizeof address.sun_path);
    CHECK(bind(made, (struct sockaddr *)&address, sizeof address) == 0 && listen(made, MOST_PEERS) == 0);
    return made;
}

struct judges *judges_start(const char *folder, uint32_t count, uint64_t instance, uint64_t seed) {
    struct judges *judges = calloc(1, sizeof *judges + (count + 1) * sizeof(struct judge));
    judges->count = count;
    judges->instance = instance;
    for (uint32_t i = 0; i <= count; i++) {
        struct judge *judge = &judges->judge[i];
        char name[32];
        snprintf(name, sizeof name, i < count ? "judge-%u.sock" : "access.sock", i);
        *judge = (struct judge){.judges = judges, .number = i, .chance = {seed + i}, .listens = judge_listening(folder, name)};
        for (int j = 0; j < MOST_PEERS; j++) judge->peers[j].socket = -1;
        CHECK(pthread_create(&judge->thread, NULL, run, judge) == 0);
    }
    return judges;
}

void judges_silent(struct judges *judges, bool silent) { judges->silent = silent; }

void judges_stop(struct judges *judges) {
    judges->stop = true;
    for (uint32_t i = 0; i <= judges->count; i++) pthread_join(judges->judge[i].thread, NULL);
    free(judges);
}

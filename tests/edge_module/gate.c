/* The gate between workers that ask, forget and take, and judges that die, answer late, twice, in pieces, or nonsense.
 * Each question has one outcome, in time, and an answer is always the one to that question; configurations come and go
 * meanwhile; in the end nothing is left over. The sanitizers look on. */
#define _GNU_SOURCE
#include "gate.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "judges.h"
#include "stubs.h"

#define WORKERS 3u
#define JUDGES 3u
#define CALLERS 64u
#define QUESTIONS 6000u /* of each worker */
#define INSTANCE 77u
#define PATIENCE_NS 20000000000ull /* a bound for a busy machine, not an expectation */
#define LARGE (300u << 10)

static const struct settings *the_settings;
static char large[LARGE];
static _Atomic bool done;

struct caller {
    struct waker waker; /* the first: what Envoy calls the filter */
    uint32_t slot;
    uint64_t asked_ns;
    char target[48];
};

struct desk {
    struct worker *worker;
    uint32_t number;
    struct chance chance;
    struct mailbox mailbox;
    struct caller callers[CALLERS];
    uint32_t asked, known, outcomes[3], forgotten, unasked;
    pthread_t thread;
};

static struct request question(struct desk *desk, struct caller *caller, bool repeated) {
    struct request request = {.content = CONTENT_NONE};
    snprintf(caller->target, sizeof caller->target, "/%s/%u/%u", repeated ? "same" : "one", desk->number,
             repeated ? chance_of(&desk->chance, 4) : desk->asked);
    request.field[METHOD] = (text){"GET", 3};
    request.field[TARGET] = (text){caller->target, strlen(caller->target)};
    if (chance_of(&desk->chance, 30) == 0) request.field[BODY] = (text){large, chance_of(&desk->chance, LARGE)};
    return request;
}

static void check_said(const struct caller *caller, const struct answer *answer) {
    text said = answer->said[DECISION];
    CHECK(said.length == strlen(caller->target) && memcmp(said.data, caller->target, said.length) == 0);
}

static void ask(struct desk *desk, struct caller *caller) {
    bool repeated = chance_of(&desk->chance, 4) == 0;
    struct request request = question(desk, caller, repeated);
    struct answer *known = repeated ? worker_known(desk->worker, &request) : NULL;
    if (known) {
        check_said(caller, known);
        answer_release(known);
        desk->known++;
        return;
    }
    caller->asked_ns = clock_ns();
    caller->slot = worker_ask(desk->worker, &request, &caller->waker, chance_of(&desk->chance, 10) == 0);
    if (caller->slot == NOT_ASKED) desk->unasked++;
    else desk->asked++;
}

static void forget(struct desk *desk, struct caller *caller) {
    worker_forget(desk->worker, caller->slot);
    caller->slot = NOT_ASKED;
    caller->waker.life++;
    desk->forgotten++;
}

static void take(struct desk *desk, struct caller *caller) {
    struct answer *answer = NULL;
    uint64_t instance, sequence, asked_ns;
    CHECK(caller->slot != NOT_ASKED);
    enum outcome outcome = worker_take(desk->worker, caller->slot, &answer, &instance, &sequence, &asked_ns);
    CHECK((outcome == ANSWERED) == (answer != NULL));
    caller->slot = NOT_ASKED;
    caller->waker.life++;
    desk->outcomes[outcome]++;
    if (answer == NULL) return;
    check_said(caller, answer);
    struct request request = {.content = CONTENT_NONE};
    request.field[METHOD] = (text){"GET", 3};
    request.field[TARGET] = (text){caller->target, strlen(caller->target)};
    if (answer->allowed) worker_keep(desk->worker, &request, answer, instance, sequence, asked_ns);
    answer_release(answer);
}

static void log_some(struct desk *desk) {
    text texts[RECORD_TEXTS] = {{"GET", 3}};
    worker_log(desk->worker, &(struct record_numbers){.status = 200}, texts);
}

static uint32_t waiting(const struct desk *desk) {
    uint32_t count = 0;
    for (unsigned i = 0; i < CALLERS; i++)
        if (desk->callers[i].slot != NOT_ASKED) {
            CHECK(clock_ns() - desk->callers[i].asked_ns < PATIENCE_NS);
            count++;
        }
    return count;
}

static void take_all(struct desk *desk) {
    for (struct waker *waker; (waker = mailbox_next(&desk->mailbox)) != NULL;)
        if (chance_of(&desk->chance, 50)) take(desk, (struct caller *)waker);
        else forget(desk, (struct caller *)waker); /* its stream ends just as the answer is there */
}

static void *work(void *given) {
    struct desk *desk = given;
    while (desk->asked < QUESTIONS) {
        struct caller *caller = &desk->callers[chance_of(&desk->chance, CALLERS)];
        if (caller->slot == NOT_ASKED) ask(desk, caller);
        else if (chance_of(&desk->chance, 2000) == 0) forget(desk, caller);
        if (chance_of(&desk->chance, 50) == 0) log_some(desk);
        if (desk->unasked % 256 == 255 || chance_of(&desk->chance, 400) == 0) usleep(500);
        take_all(desk);
    }
    for (; waiting(desk) > 0; usleep(500)) take_all(desk);
    return NULL;
}

/* Envoy makes and drops configurations in one thread, and the last stream of an old one may end in any other. */
static void *reconfigure(void *given) {
    (void)given;
    while (!done) {
        struct gate *gate = gate_acquire(the_settings);
        CHECK(gate != NULL);
        usleep(100);
        gate_release(gate);
    }
    return NULL;
}

static void check_settings(const struct settings *settings) {
    struct settings other = *settings;
    other.timeout_ms++;
    CHECK(gate_acquire(&other) == NULL);
    other = *settings;
    other.judges = MOST_JUDGES + 1;
    CHECK(gate_acquire(&other) == NULL);
}

static void write_epochs(void) {
    struct shared *shared = calloc(1, sizeof *shared);
    shared->magic = SHARED_MAGIC;
    shared->instance = INSTANCE;
    int file = open("epochs", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(write(file, shared, sizeof *shared) == sizeof *shared);
    close(file);
    free(shared);
}

static struct desk *desk_of(struct gate *gate, uint32_t number, uint64_t seed) {
    struct desk *desk = calloc(1, sizeof *desk);
    desk->worker = gate_worker(gate, number);
    desk->number = number;
    desk->chance.state = seed + number;
    pthread_mutex_init(&desk->mailbox.lock, NULL);
    for (unsigned i = 0; i < CALLERS; i++)
        desk->callers[i] = (struct caller){.waker = {.mailbox = &desk->mailbox}, .slot = NOT_ASKED};
    return desk;
}

static void work_all(struct gate *gate, struct desk *desks[WORKERS]) {
    pthread_t reconfiguring[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&reconfiguring[i], NULL, reconfigure, gate) == 0);
    for (unsigned i = 0; i < WORKERS; i++) CHECK(pthread_create(&desks[i]->thread, NULL, work, desks[i]) == 0);
    for (unsigned i = 0; i < WORKERS; i++) pthread_join(desks[i]->thread, NULL);
    done = true;
    for (int i = 0; i < 2; i++) pthread_join(reconfiguring[i], NULL);
}

/* Who still waits when the gate is given up learns that nobody answers, and nothing is said to Envoy after that. */
static void end(struct gate *gate, struct desk *desk, struct judges *judges) {
    judges_silent(judges, true);
    for (unsigned i = 0; i < CALLERS; i++) ask(desk, &desk->callers[i]);
    CHECK(waiting(desk) > 0);
    gate_release(gate);
    for (unsigned i = 0; i < 5; i++)
        if (desk->callers[i].slot != NOT_ASKED) forget(desk, &desk->callers[i]);
    take_all(desk);
    CHECK(waiting(desk) == 0);
    CHECK(worker_ask(desk->worker, &(struct request){0}, &desk->callers[0].waker, false) == NOT_ASKED);
}

int main(int count, char **given) {
    struct chance chance = chance_from(count, given);
    static const struct settings settings = {.run = ".", .judges = JUDGES, .timeout_ms = 50, .flush_ms = 2, .cache_bytes = 1 << 16};
    static struct gate *gate; /* what it keeps for ever is no leak */
    struct desk *desks[WORKERS];
    uint32_t outcomes[3] = {0}, known = 0;
    the_settings = &settings;
    write_epochs();
    struct judges *judges = judges_start(".", JUDGES, INSTANCE, chance.state);
    stub_concurrency(WORKERS);
    CHECK((gate = gate_acquire(&settings)) != NULL && gate_worker(gate, WORKERS) == NULL);
    check_settings(&settings);
    for (unsigned i = 0; i < WORKERS; i++) desks[i] = desk_of(gate, i, chance.state);
    work_all(gate, desks);
    end(gate, desks[0], judges);
    judges_stop(judges);
    CHECK(schedulers_alive() == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        known += desks[i]->known;
        for (int j = 0; j < 3; j++) outcomes[j] += desks[i]->outcomes[j];
        free(desks[i]);
    }
    fprintf(stderr, "%u answered, %u lost, %u late, %u known\n", outcomes[ANSWERED], outcomes[LOST], outcomes[LATE], known);
    CHECK(outcomes[ANSWERED] > WORKERS * QUESTIONS / 10 && outcomes[LOST] && outcomes[LATE] && known);
}

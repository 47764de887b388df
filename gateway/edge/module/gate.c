#define _GNU_SOURCE
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 16384u              /* questions of one worker at once; beyond it nobody is asked */
#define MOST_WAITING (8u << 20)   /* bytes that a judge has not read yet; beyond it it is not asked */
#define MOST_LOG (32u << 20)      /* bytes of the log that the gateway has not read yet; beyond it records are dropped */
#define CHUNK (256u << 10)        /* bytes read at once */
#define AT_START_NS 250000000u    /* that Envoy waits for the gateway when it gets its first configuration */

/* Bytes on their way, in or out. */
struct buffer {
    char *data;
    size_t start, end, room;
};

/* One connection, from one worker to one judge, or from the process to who reads its log. */
struct link {
    struct worker *worker; /* NULL for the log's */
    uint32_t judge;
    int socket; /* -1 while there is none */
    bool ready; /* the judge has said hello */
    bool writes; /* epoll tells when there is room again */
    uint64_t instance;
    struct buffer in, out;
};

enum state { FREE, ASKED, DONE };

struct slot {
    enum state state;
    enum outcome outcome;
    uint32_t generation, judge;
    uint32_t before, after; /* in the order of asking, while ASKED; `after` of the free ones */
    scheduler wake;
    struct answer *answer;
    uint64_t instance, sequence, asked_ns;
};

struct worker {
    struct gate *gate;
    pthread_mutex_t lock; /* slots, links' `out` and `ready`, the log */
    struct cache *cache;
    struct slot *slots;
    uint32_t free, first, last, next_judge;
    struct link links[MOST_JUDGES];
    struct log log;
};

struct gate {
    struct settings settings;
    uint32_t users;
    uint32_t workers;
    struct worker **worker;
    _Atomic(const struct shared *) shared;
    struct limits *limits;
    struct link log;
    uint64_t log_dropped; /* records, that the next batch tells of */
    uint64_t log_unsent;  /* records that were handed on since all had left */
    int poll, stop;
    pthread_t thread;
};

/* Configurations come in Envoy's main thread, and go with the last stream that has one, in any. */
static pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows, and of each gate's `users` */
static struct gate *the_gate;

uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
}

static void *zeroed(size_t bytes) {
    void *made = calloc(1, bytes);
    if (made == NULL) abort();
    return made;
}

/* -- buffers ------------------------------------------------------------------------------------------------------- */

static char *reserve(struct buffer *buffer, size_t bytes) {
    if (buffer->start) {
        memmove(buffer->data, buffer->data + buffer->start, buffer->end - buffer->start);
        buffer->end -= buffer->start;
        buffer->start = 0;
    }
    if (buffer->room < buffer->end + bytes) {
        buffer->room = 2 * (buffer->end + bytes);
        buffer->data = realloc(buffer->data, buffer->room);
        if (buffer->data == NULL) abort();
    }
    return buffer->data + buffer->end;
}

static void empty(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}

/* -- slots: under the worker's lock --------------------------------------------------------------------------------- */

static void unlink_slot(struct worker *worker, uint32_t number) {
    struct slot *slot = &worker->slots[number];
    if (slot->before != NOT_ASKED) worker->slots[slot->before].after = slot->after;
    else worker->first = slot->after;
    if (slot->after != NOT_ASKED) worker->slots[slot->after].before = slot->before;
    else worker->last = slot->before;
}

static uint32_t take_slot(struct worker *worker) {
    uint32_t number = worker->free;
    if (number == NOT_ASKED) return NOT_ASKED;
    struct slot *slot = &worker->slots[number];
    worker->free = slot->after;
    slot->before = worker->last;
    slot->after = NOT_ASKED;
    if (worker->last != NOT_ASKED) worker->slots[worker->last].after = number;
    else worker->first = number;
    worker->last = number;
    slot->state = ASKED;
    slot->generation++;
    return number;
}

static void free_slot(struct worker *worker, uint32_t number) {
    struct slot *slot = &worker->slots[number];
    if (slot->state == ASKED) unlink_slot(worker, number);
    envoy_dynamic_module_callback_http_filter_scheduler_delete(slot->wake);
    slot->state = FREE;
    slot->wake = NULL;
    slot->answer = NULL;
    slot->after = worker->free;
    worker->free = number;
}

static void settle(struct worker *worker, uint32_t number, enum outcome outcome, struct answer *answer) {
    struct slot *slot = &worker->slots[number];
    unlink_slot(worker, number);
    slot->state = DONE;
    slot->outcome = outcome;
    slot->answer = answer;
    envoy_dynamic_module_callback_http_filter_scheduler_commit(slot->wake, 0);
}

static uint64_t id_of(const struct worker *worker, uint32_t number) {
    return (uint64_t)worker->slots[number].generation << 32 | number;
}

/* -- writing -------------------------------------------------------------------------------------------------------- */

static void watch(struct gate *gate, struct link *link, bool writes) {
    struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.ptr = link};
    link->writes = writes;
    epoll_ctl(gate->poll, EPOLL_CTL_MOD, link->socket, &event);
}

/* As much as the socket takes now. False where it is broken: the reading thread finds that too, and mends it. */
static bool flush(struct gate *gate, struct link *link) {
    struct buffer *out = &link->out;
    while (out->start < out->end) {
        ssize_t sent = send(link->socket, out->data + out->start, out->end - out->start, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) return false;
        if (sent < 0) break;
        out->start += sent;
    }
    bool more = out->start < out->end;
    if (!more) out->start = out->end = 0;
    if (more != link->writes) watch(gate, link, more);
    return true;
}

/* The next that is there: judges take turns. */
static struct link *choose(struct worker *worker, bool alone) {
    uint32_t judges = alone ? 1 : worker->gate->settings.judges;
    for (uint32_t i = 0; i < judges; i++) {
        struct link *link = &worker->links[worker->next_judge++ % judges];
        if (link->ready && link->out.end - link->out.start < MOST_WAITING) return link;
    }
    return NULL;
}

uint32_t worker_ask(struct worker *worker, const struct request *request, envoy_filter filter, bool alone) {
    size_t bytes = question_size(request);
    uint32_t number = NOT_ASKED;
    if (bytes > LARGEST_FRAME) return number;
    pthread_mutex_lock(&worker->lock);
    struct link *link = choose(worker, alone);
    if (link != NULL && (number = take_slot(worker)) != NOT_ASKED) {
        struct slot *slot = &worker->slots[number];
        slot->judge = link->judge;
        slot->wake = envoy_dynamic_module_callback_http_filter_scheduler_new(filter);
        slot->asked_ns = clock_ns();
        /* Under the lock, as `greet`: a sequence of another file than the instance's would outlive its signals. */
        const struct shared *shared = atomic_load(&worker->gate->shared);
        slot->sequence = shared ? atomic_load_explicit(&shared->sequence, memory_order_acquire) : 0;
        slot->instance = worker->links[0].ready ? worker->links[0].instance : 0;
        question_write(reserve(&link->out, bytes), request, id_of(worker, number));
        link->out.end += bytes;
        if (!link->writes && !flush(worker->gate, link)) {
            link->ready = false;
            shutdown(link->socket, SHUT_RDWR); /* the thread hears of it, and connects anew */
        }
    }
    pthread_mutex_unlock(&worker->lock);
    return number;
}

enum outcome worker_take(struct worker *worker, uint32_t number, struct answer **answer, uint64_t *instance,
                         uint64_t *sequence, uint64_t *asked_ns) {
    pthread_mutex_lock(&worker->lock);
    struct slot *slot = &worker->slots[number];
    enum outcome outcome = slot->outcome;
    *answer = slot->answer;
    *instance = slot->instance;
    *sequence = slot->sequence;
    *asked_ns = slot->asked_ns;
    free_slot(worker, number);
    pthread_mutex_unlock(&worker->lock);
    return outcome;
}

void worker_forget(struct worker *worker, uint32_t number) {
    pthread_mutex_lock(&worker->lock);
    struct answer *answer = worker->slots[number].answer;
    free_slot(worker, number);
    pthread_mutex_unlock(&worker->lock);
    answer_release(answer);
}

struct answer *worker_known(struct worker *worker, const struct request *request) {
    const struct shared *shared = atomic_load(&worker->gate->shared);
    if (worker->cache == NULL || shared == NULL) return NULL;
    uint64_t instance = __atomic_load_n(&worker->links[0].instance, __ATOMIC_ACQUIRE);
    if (instance == 0 || instance != atomic_load_explicit(&shared->instance, memory_order_acquire)) return NULL;
    return cache_find(worker->cache, request, shared, instance, clock_ns());
}

void worker_keep(struct worker *worker, const struct request *request, struct answer *answer, uint64_t instance,
                 uint64_t sequence, uint64_t asked_ns) {
    if (worker->cache && instance) cache_keep(worker->cache, request, answer, instance, sequence, asked_ns);
}

uint64_t worker_draw(struct worker *worker, const struct limit *limit, text who) {
    return limits_draw(worker->gate->limits, limit, who, clock_ns());
}

void worker_log(struct worker *worker, const struct record_numbers *numbers, const text texts[RECORD_TEXTS]) {
    pthread_mutex_lock(&worker->lock);
    log_add(&worker->log, numbers, texts);
    pthread_mutex_unlock(&worker->lock);
}

/* -- the thread ----------------------------------------------------------------------------------------------------- */

static void lock(struct link *link) {
    if (link->worker) pthread_mutex_lock(&link->worker->lock);
}

static void unlock(struct link *link) {
    if (link->worker) pthread_mutex_unlock(&link->worker->lock);
}

/* Who waited for this judge learns that it is gone. */
static void lose(struct gate *gate, struct link *link) {
    lock(link);
    epoll_ctl(gate->poll, EPOLL_CTL_DEL, link->socket, NULL);
    close(link->socket);
    link->socket = -1;
    link->ready = link->writes = false;
    __atomic_store_n(&link->instance, 0, __ATOMIC_RELEASE);
    if (link->worker == NULL && link->out.start < link->out.end) gate->log_dropped += gate->log_unsent;
    empty(&link->in);
    empty(&link->out);
    if (link->worker)
        for (uint32_t number = link->worker->first, after; number != NOT_ASKED; number = after) {
            after = link->worker->slots[number].after;
            if (link->worker->slots[number].judge == link->judge) settle(link->worker, number, LOST, NULL);
        }
    unlock(link);
}

static void connect_link(struct gate *gate, struct link *link) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (link->worker)
        snprintf(address.sun_path, sizeof address.sun_path, "%s/judge-%u.sock", gate->settings.run, link->judge);
    else
        snprintf(address.sun_path, sizeof address.sun_path, "%s/access.sock", gate->settings.run);
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
    if (made < 0) return;
    if (connect(made, (struct sockaddr *)&address, sizeof address) != 0 ||
        epoll_ctl(gate->poll, EPOLL_CTL_ADD, made, &event) != 0) {
        close(made);
        return;
    }
    lock(link);
    link->socket = made;
    link->ready = link->worker == NULL;
    unlock(link);
}

/* The gateway says which it is: what an earlier one answered counts no more. */
static void greet(struct gate *gate, struct link *link, uint64_t instance) {
    const struct shared *shared = atomic_load(&gate->shared);
    if (link->judge == 0 && (shared == NULL || atomic_load(&shared->instance) != instance)) {
        char path[sizeof gate->settings.run + 16];
        snprintf(path, sizeof path, "%s/epochs", gate->settings.run);
        const struct shared *opened = shared_open(path);
        if (opened) atomic_store(&gate->shared, opened);
    }
    lock(link);
    __atomic_store_n(&link->instance, instance, __ATOMIC_RELEASE);
    link->ready = true;
    unlock(link);
}

/* Only whom it asked may answer a question. */
static bool waits_for(const struct link *link, uint32_t number, uint32_t generation) {
    if (number >= SLOTS) return false;
    const struct slot *slot = &link->worker->slots[number];
    return slot->state == ASKED && slot->generation == generation && slot->judge == link->judge;
}

static void deliver(const struct link *link, uint64_t id, struct answer *answer) {
    struct worker *worker = link->worker;
    uint32_t number = (uint32_t)id, generation = id >> 32;
    pthread_mutex_lock(&worker->lock);
    bool waits = waits_for(link, number, generation);
    if (waits) settle(worker, number, answer ? ANSWERED : LOST, answer);
    pthread_mutex_unlock(&worker->lock);
    if (!waits) answer_release(answer);
}

/* All whole frames; false where what comes is none. */
static bool hear(struct gate *gate, struct link *link) {
    struct buffer *in = &link->in;
    uint32_t length;
    while (in->end - in->start >= sizeof length) {
        memcpy(&length, in->data + in->start, sizeof length);
        if (length > LARGEST_FRAME) return false;
        if (in->end - in->start < sizeof length + length) break;
        const char *frame = in->data + in->start + sizeof length;
        enum kind kind;
        uint64_t id;
        if (!frame_head(frame, length, &kind, &id)) return false;
        if (kind == HELLO) greet(gate, link, id);
        else deliver(link, id, answer_read(frame, length));
        in->start += sizeof length + length;
    }
    if (in->start == in->end) in->start = in->end = 0;
    return true;
}

static bool receive(struct gate *gate, struct link *link) {
    ssize_t got = recv(link->socket, reserve(&link->in, CHUNK), CHUNK, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0 || link->worker == NULL) return false; /* who reads the log says nothing */
    link->in.end += got;
    return hear(gate, link);
}

static void happen(struct gate *gate, const struct epoll_event *event) {
    struct link *link = event->data.ptr;
    if (link == NULL || link->socket < 0) return;
    bool works = true;
    if (event->events & EPOLLOUT) {
        lock(link);
        works = flush(gate, link);
        unlock(link);
    }
    if (works && event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) works = receive(gate, link);
    if (!works) lose(gate, link);
}

static void give_up(struct worker *worker, uint64_t now, uint64_t patience_ns) {
    pthread_mutex_lock(&worker->lock);
    while (worker->first != NOT_ASKED && worker->slots[worker->first].asked_ns + patience_ns <= now)
        settle(worker, worker->first, LATE, NULL);
    pthread_mutex_unlock(&worker->lock);
}

static void send_log(struct gate *gate, struct worker *worker) {
    size_t length = 0;
    struct link *link = &gate->log;
    pthread_mutex_lock(&worker->lock);
    worker->log.dropped += gate->log_dropped;
    gate->log_dropped = 0;
    size_t count = worker->log.count;
    uint64_t dropped = worker->log.dropped;
    char *frame = log_take(&worker->log, &length);
    pthread_mutex_unlock(&worker->lock);
    if (frame && link->socket >= 0 && link->out.end - link->out.start + length <= MOST_LOG) {
        if (link->out.start == link->out.end) gate->log_unsent = 0;
        gate->log_unsent += count + dropped;
        memcpy(reserve(&link->out, length), frame, length);
        link->out.end += length;
        if (!flush(gate, link)) lose(gate, link);
    } else if (frame) {
        gate->log_dropped = dropped + count;
    }
    free(frame);
}

static void each_turn(struct gate *gate) {
    uint64_t now = clock_ns(), patience_ns = (uint64_t)gate->settings.timeout_ms * 1000000u;
    if (gate->log.socket < 0) connect_link(gate, &gate->log);
    for (uint32_t i = 0; i < gate->workers; i++) {
        struct worker *worker = gate->worker[i];
        for (uint32_t judge = 0; judge < gate->settings.judges; judge++)
            if (worker->links[judge].socket < 0) connect_link(gate, &worker->links[judge]);
        give_up(worker, now, patience_ns);
        send_log(gate, worker);
    }
}

/* Nobody is asked any more, and who waits is told. */
static void lose_all(struct gate *gate) {
    if (gate->log.socket >= 0) lose(gate, &gate->log);
    for (uint32_t i = 0; i < gate->workers; i++)
        for (uint32_t judge = 0; judge < gate->settings.judges; judge++)
            if (gate->worker[i]->links[judge].socket >= 0) lose(gate, &gate->worker[i]->links[judge]);
}

static void *run(void *given) {
    struct gate *gate = given;
    struct epoll_event events[64];
    uint64_t turn_ns = (uint64_t)gate->settings.flush_ms * 1000000u, next = 0, ended = 0;
    for (;;) {
        if (clock_ns() >= next) {
            each_turn(gate);
            next = clock_ns() + turn_ns;
        }
        uint64_t left = (next - clock_ns()) / 1000000u;
        int count = epoll_wait(gate->poll, events, 64, left > gate->settings.flush_ms ? 0 : (int)left + 1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) ended = 1;
            else happen(gate, &events[i]);
        }
        if (ended) break;
    }
    each_turn(gate); /* the last of the log */
    lose_all(gate);
    return NULL;
}

/* -- the gate ------------------------------------------------------------------------------------------------------- */

static struct worker *new_worker(struct gate *gate) {
    struct worker *worker = zeroed(sizeof *worker);
    worker->gate = gate;
    pthread_mutex_init(&worker->lock, NULL);
    worker->cache = gate->settings.cache_bytes ? cache_new(gate->settings.cache_bytes) : NULL;
    worker->slots = zeroed(SLOTS * sizeof *worker->slots);
    worker->first = worker->last = NOT_ASKED;
    for (uint32_t i = 0; i < SLOTS; i++) worker->slots[i].after = i + 1 < SLOTS ? i + 1 : NOT_ASKED;
    for (uint32_t judge = 0; judge < MOST_JUDGES; judge++)
        worker->links[judge] = (struct link){.worker = worker, .judge = judge, .socket = -1};
    return worker;
}

static bool connected(struct gate *gate) {
    bool all = true;
    for (uint32_t i = 0; i < gate->workers; i++) {
        pthread_mutex_lock(&gate->worker[i]->lock);
        all = all && gate->worker[i]->links[0].ready;
        pthread_mutex_unlock(&gate->worker[i]->lock);
    }
    return all;
}

/* The first requests come as soon as Envoy has its configuration: where the gateway is there, they find it. */
static void await_gateway(struct gate *gate) {
    for (uint64_t end = clock_ns() + AT_START_NS; !connected(gate) && clock_ns() < end;) usleep(1000);
}

static struct gate *new_gate(const struct settings *settings) {
    struct gate *gate = zeroed(sizeof *gate);
    struct epoll_event event = {.events = EPOLLIN};
    gate->settings = *settings;
    gate->limits = limits_new();
    gate->log.socket = -1;
    gate->workers = envoy_dynamic_module_callback_get_concurrency();
    gate->worker = zeroed(gate->workers * sizeof *gate->worker);
    for (uint32_t i = 0; i < gate->workers; i++) gate->worker[i] = new_worker(gate);
    gate->poll = epoll_create1(EPOLL_CLOEXEC);
    gate->stop = eventfd(0, EFD_CLOEXEC);
    if (gate->poll < 0 || gate->stop < 0 || epoll_ctl(gate->poll, EPOLL_CTL_ADD, gate->stop, &event) != 0) abort();
    if (pthread_create(&gate->thread, NULL, run, gate) != 0) abort();
    await_gateway(gate);
    return gate;
}

struct gate *gate_acquire(const struct settings *settings) {
    if (settings->judges > MOST_JUDGES) return NULL;
    pthread_mutex_lock(&the_lock);
    if (the_gate == NULL) the_gate = new_gate(settings);
    struct gate *gate = memcmp(&the_gate->settings, settings, sizeof *settings) == 0 ? the_gate : NULL;
    if (gate) gate->users++;
    pthread_mutex_unlock(&the_lock);
    return gate;
}

void gate_release(struct gate *gate) {
    uint64_t one = 1;
    pthread_mutex_lock(&the_lock);
    bool last = --gate->users == 0;
    if (last) the_gate = NULL;
    pthread_mutex_unlock(&the_lock);
    if (!last) return;
    if (write(gate->stop, &one, sizeof one) != sizeof one) abort();
    pthread_join(gate->thread, NULL);
    close(gate->poll);
    close(gate->stop);
    /* Workers may still hold filters that look at their worker: what is left is the process's to give back. */
}

struct worker *gate_worker(struct gate *gate, uint32_t index) {
    return index < gate->workers ? gate->worker[index] : NULL;
}

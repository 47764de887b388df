/* A question that one judge was asked is not another's to answer; one that says more than an answer is left at once. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "gate.h"
#include "judges.h"
#include "stubs.h"

#define PATIENCE 2000 /* tries of 5 ms */

static struct mailbox mailbox = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct waker first = {.mailbox = &mailbox}, second = {.mailbox = &mailbox};

static uint32_t ask(struct worker *worker, struct waker *waker, bool alone) {
    struct request request = {.content = CONTENT_NONE};
    uint32_t slot = NOT_ASKED;
    for (int i = 0; i < PATIENCE && slot == NOT_ASKED; i++) {
        slot = worker_ask(worker, &request, waker, alone);
        if (slot == NOT_ASKED) usleep(5000);
    }
    CHECK(slot != NOT_ASKED);
    return slot;
}

static uint64_t asked_of(int judge) {
    struct question_head head;
    CHECK(recv(judge, &head, sizeof head, MSG_WAITALL) == sizeof head);
    return head.id;
}

static void wait_for(const struct waker *waker) {
    struct waker *found = NULL;
    for (int i = 0; i < PATIENCE && found == NULL; i++)
        if ((found = mailbox_next(&mailbox)) == NULL) usleep(5000);
    CHECK(found == waker);
}

static void check_said(struct worker *worker, uint32_t slot, const char *what) {
    struct answer *answer = NULL;
    uint64_t instance, sequence, asked_ns;
    CHECK(worker_take(worker, slot, &answer, &instance, &sequence, &asked_ns) == ANSWERED);
    CHECK(answer->said[DECISION].length == strlen(what) && memcmp(answer->said[DECISION].data, what, strlen(what)) == 0);
    answer_release(answer);
}

int main(void) {
    const struct settings settings = {.run = ".", .judges = 2, .timeout_ms = 60000, .flush_ms = 2};
    int listens[2] = {judge_listening(".", "judge-0.sock"), judge_listening(".", "judge-1.sock")}, to[2];
    stub_concurrency(1);
    static struct gate *gate; /* what it keeps for ever is no leak */
    CHECK((gate = gate_acquire(&settings)) != NULL);
    for (int i = 0; i < 2; i++) CHECK((to[i] = accept(listens[i], NULL, NULL)) >= 0);
    struct worker *worker = gate_worker(gate, 0);
    CHECK(judge_hello(to[0], 1));
    uint32_t one = ask(worker, &first, false);
    uint64_t id = asked_of(to[0]);
    CHECK(judge_hello(to[1], 1));
    CHECK(judge_reply(to[1], id, (text){"theirs", 6})); /* before anything that comes of the next question */
    uint32_t other = NOT_ASKED;
    for (ssize_t there = 0; there <= 0;) { /* they take turns: it is the other's soon */
        if (other != NOT_ASKED) {
            uint64_t passed = asked_of(to[0]);
            CHECK(judge_reply(to[0], passed, (text){"passed", 6}));
            wait_for(&second);
            check_said(worker, other, "passed");
        }
        other = ask(worker, &second, false);
        char byte;
        there = recv(to[1], &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    }
    CHECK(judge_reply(to[1], asked_of(to[1]), (text){"second", 6}));
    wait_for(&second);
    check_said(worker, other, "second");
    CHECK(judge_reply(to[0], id, (text){"first", 5}));
    wait_for(&first);
    check_said(worker, one, "first");
    CHECK(send(to[1], &(uint32_t){LARGEST_FRAME + 1}, 4, 0) == 4 && recv(to[1], &id, sizeof id, 0) == 0);
    gate_release(gate);
    CHECK(schedulers_alive() == 0);
    CHECK(recv(to[0], &id, sizeof id, 0) == 0); /* and it has left */
}

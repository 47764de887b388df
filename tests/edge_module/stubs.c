#include "stubs.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "envoy.h"

struct stub_scheduler {
    struct waker *waker;
    uint64_t life;
    uint32_t commits;
};

static _Atomic uint32_t alive, concurrency;

void stub_concurrency(uint32_t workers) { concurrency = workers; }

uint32_t schedulers_alive(void) { return alive; }

uint32_t envoy_dynamic_module_callback_get_concurrency(void) { return concurrency; }

scheduler envoy_dynamic_module_callback_http_filter_scheduler_new(envoy_filter filter) {
    struct stub_scheduler *made = malloc(sizeof *made);
    CHECK(made != NULL);
    *made = (struct stub_scheduler){.waker = filter, .life = ((struct waker *)filter)->life};
    alive++;
    return made;
}

/* As Envoy does: the waking is posted to the worker, and finds the filter there or does not. */
void envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler given, uint64_t event) {
    struct stub_scheduler *scheduler = given;
    struct mailbox *mailbox = scheduler->waker->mailbox;
    CHECK(event == 0 && scheduler->commits++ == 0);
    pthread_mutex_lock(&mailbox->lock);
    CHECK(mailbox->count < MOST_LETTERS);
    mailbox->letters[mailbox->count++] = (struct letter){scheduler->waker, scheduler->life};
    pthread_mutex_unlock(&mailbox->lock);
}

void envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler given) {
    alive--;
    free(given);
}

struct waker *mailbox_next(struct mailbox *mailbox) {
    struct waker *found = NULL;
    pthread_mutex_lock(&mailbox->lock);
    while (mailbox->count && found == NULL) {
        struct letter letter = mailbox->letters[--mailbox->count];
        if (letter.waker->life == letter.life) found = letter.waker;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return found;
}

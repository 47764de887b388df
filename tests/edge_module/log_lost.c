/* Who reads the log stops in the middle of it: what the next one is told, it was sent or it was dropped. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"
#include "gate.h"
#include "judges.h"
#include "stubs.h"

#define RECORDS 4000u /* more than a socket keeps */
#define LONGEST 2048u

static char path[LONGEST];

struct batch {
    uint32_t length, count;
    uint64_t dropped;
};

/* A whole one; false where it ends before. */
static bool batch_read(int from, struct batch *batch) {
    if (recv(from, batch, sizeof *batch, MSG_WAITALL) != sizeof *batch) return false;
    size_t left = batch->length + 4u - sizeof *batch;
    char *data = malloc(left ? left : 1);
    bool whole = left == 0 || recv(from, data, left, MSG_WAITALL) == (ssize_t)left;
    free(data);
    return whole;
}

static void write_records(struct worker *worker, unsigned count) {
    const text texts[RECORD_TEXTS] = {[RECORD_METHOD] = {"GET", 3}, [RECORD_PATH] = {path, sizeof path}};
    for (unsigned i = 0; i < count; i++) {
        worker_log(worker, &(struct record_numbers){.status = 200}, texts);
        if (i % 100 == 0) usleep(1000); /* many batches */
    }
}

int main(void) {
    const struct settings settings = {.run = ".", .judges = 1, .timeout_ms = 1000, .flush_ms = 1};
    struct batch batch = {0};
    uint64_t read = 0, dropped = 0;
    memset(path, 'x', sizeof path);
    int listens = judge_listening(".", "access.sock");
    stub_concurrency(1);
    static struct gate *gate; /* what it keeps for ever is no leak */
    CHECK((gate = gate_acquire(&settings)) != NULL);
    int first = accept(listens, NULL, NULL);
    CHECK(first >= 0);
    write_records(gate_worker(gate, 0), RECORDS);
    CHECK(shutdown(first, SHUT_WR) == 0); /* it is left; what is in the socket can still be read */
    while (batch_read(first, &batch)) read += batch.count;
    CHECK(read < RECORDS);
    int second = accept(listens, NULL, NULL);
    CHECK(setsockopt(second, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 20}, sizeof(struct timeval)) == 0);
    write_records(gate_worker(gate, 0), 1);
    do {
        CHECK(batch_read(second, &batch));
        read += batch.count;
        dropped += batch.dropped;
    } while (read + dropped < RECORDS + 1);
    CHECK(dropped > 0 && dropped <= RECORDS);
    gate_release(gate);
}

/* Judges that do all that a judge may do wrong, each in a thread of its own; and who reads the log. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "envoy.h"

/* What a judge says of every question that it answers as it should: its target. */
#define WRONG "wrong" /* and of an answer that nobody may ever get */

struct judges;

/* They listen in this folder. `instance`: of their hello. */
struct judges *judges_start(const char *run, uint32_t count, uint64_t instance, uint64_t seed);

/* From now on each is silent, or does again whatever comes to its mind. */
void judges_silent(struct judges *, bool silent);

/* All connections are closed and nobody listens. */
void judges_stop(struct judges *);

/* What they are made of, for a program that is a judge itself. */
int judge_listening(const char *run, const char *name);
bool judge_hello(int to, uint64_t instance);
bool judge_reply(int to, uint64_t id, text what); /* allowed; `what` is at most 64 bytes */

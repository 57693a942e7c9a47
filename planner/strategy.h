/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Ways to run a model on a machine, each with what it takes and how fast it is expected to be. The
 * ways are the rows of strategies.def.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "planner/engine_table.h"
#include "planner/machine.h"
#include "planner/subject.h"

enum strategy_kind {
    STRATEGY_OURS,   /* the library does it */
    STRATEGY_ENGINE, /* the program does it by itself */
    STRATEGY_ADVICE, /* needs another file or other options: never recommended by itself */
};

/* What is to be judged. */
struct strategy_case {
    struct machine machine;
    struct subject *subject;
    const struct engine_row *engine; /* NULL: not known */
    uint64_t chunk, small;           /* VRAMSHIM_CHUNK and _SMALL, which small budgets shrink */
    bool apart;                      /* the program allocates every tensor by itself */
    bool no_quantize;
    const char *asked; /* the name of the only one to be used; NULL: any */
};

enum strategy_lack {
    LACK_NONE,
    LACK_DEVICE,
    LACK_PINNED,
    LACK_HOST,
    LACK_DISK,
};

struct strategy_result {
    const char *name;
    enum strategy_kind kind;
    const char *quality, *help;
    bool applies; /* else the row has nothing to say about this model */
    bool fits;
    uint64_t peak, peak_error; /* device bytes, the driver's own among them */
    uint64_t host, pinned, disk;
    double low, high; /* seconds of a pass; 0 when it does not fit */
    const char *bound;
    enum strategy_lack lack;
    uint64_t short_by;
    size_t n_streamed, n_dense; /* pieces */
    uint64_t ring;
    char why[192];
    char change[64]; /* options with which it would fit; empty when there are none */
};

enum {
    STRATEGIES_MAX = 24,
};

struct strategies {
    size_t n;
    struct strategy_result list[STRATEGIES_MAX];
    double least; /* seconds of a pass with everything on the device, as `high` of the others */
    const struct strategy_result *recommended; /* NULL: none fits */
    const struct strategy_result *asked; /* for; NULL: none, or it says nothing about this model */
};

/* Judges every row. 0 or -ENOMEM. The subject is left as it was. */
int strategies_judge(struct strategy_case *c, struct strategies *out);

/* How fast it is, in a word, beside a pass with everything on the device: fastest up to 1.1 times
 * that, fast up to 2, medium up to 5, slow up to 20, else slowest. "" for what does not fit. */
const char *strategies_speed(const struct strategies *all, const struct strategy_result *result);

/* The one to go by: what was asked for, else what is recommended; NULL when it does not fit. */
const struct strategy_result *strategies_taken(const struct strategies *all);

/* Of the library's ways, none of which fits, the one that lacks least; NULL when one fits. */
const struct strategy_result *strategies_nearest(const struct strategies *all);

/* Judges one; for those who search. */
int strategy_judge(struct strategy_case *c, size_t row, struct strategy_result *out);
size_t strategy_count(void);
/* Seconds of a pass with everything on the device, whether it fits or not, as `high` of a result.
 */
double strategy_least(struct strategy_case *c);

/* Places the pieces as the strategy of that name would, for a plan. */
int strategy_place(struct strategy_case *c, const char *name, struct placement *out);

/* Bytes that move together with so much device memory, as runtime/card.c has it. */
uint64_t strategy_chunk(const struct strategy_case *c);

const char *strategy_lack_name(enum strategy_lack lack);

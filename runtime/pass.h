/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The pass: the order in which a program reads its memory, again and again.
 *
 * A program is seen as a sequence of *visits*: a piece of memory is touched by some launches in a
 * row, and later visited anew. The learner finds the period of that sequence; the follower then
 * says where in the pass each further touch is. Both are predictions and nothing else: a touch that
 * they do not expect is told, and never wrong for the caller to serve otherwise.
 *
 * Pure: no driver calls, no clock. Pieces are named by keys that are never used twice. Locking: the
 * caller's. When there is no memory left nothing is learned.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/table.h"

enum {
    PASS_GAP_VISITS = 4, /* touches with at most so many visits between belong to one visit, */
    PASS_GAP_STEPS = 2,  /* and those with at most so many launches between */
    PASS_LEAST = 6,      /* visits; what repeats faster is not worth a plan */
    PASS_PHASES = 8,     /* of a pass, at most */
};

struct pass_visit {
    uint64_t key;
    uint32_t until; /* visits after this one that had begun when it was last touched */
};

struct pass_seen {
    uint64_t key;
    uint64_t visit;      /* number of its last visit */
    uint64_t touch_at;   /* number of the newest visit at its last touch */
    uint64_t touch_step; /* launch of its last touch */
    UT_hash_handle hh;
};

struct pass_learner {
    struct pass_visit *trace; /* visits first..n - 1 */
    uint64_t first, n;
    uint64_t capacity;
    uint64_t step;
    uint64_t period; /* the guess, in visits; 0 when there is none */
    uint64_t agreed; /* how strongly recent visits speak for it */
    struct pass_seen *seen;
};

void pass_learner_init(struct pass_learner *learner);
void pass_learner_fini(struct pass_learner *learner);

/* A launch begins; its touches follow. */
static inline void pass_learner_step(struct pass_learner *learner)
{
    learner->step++;
}

void pass_learner_touch(struct pass_learner *learner, uint64_t key);

/* Whether enough visits in a row came one period after the visit before. */
bool pass_learner_knows(const struct pass_learner *learner);

/* So many visits without a period that there most likely is none. */
bool pass_learner_despairs(const struct pass_learner *learner);

struct pass_place {
    uint64_t key;
    uint32_t at;   /* first position of the key in the pass */
    uint32_t n_at; /* positions it has */
    UT_hash_handle hh;
};

/* A part of a pass with an order of its own. */
struct pass_phase {
    uint32_t first; /* position */
    uint32_t n;     /* of positions */
};

/*
 * The first phase is what repeats. Others come between two laps of it, once in many laps, and one
 * after the other in whatever order: a text encoder before the steps of an image, a decoder after
 * them. No piece is in two phases.
 */
struct pass {
    uint32_t n;     /* positions of all phases */
    uint32_t at;    /* position of the newest visit */
    uint32_t phase; /* in which that is */
    uint32_t n_phases;
    struct pass_phase phases[PASS_PHASES];
    uint64_t begin;    /* visits gone by when this lap of the phase began, left out ones included */
    uint64_t entries;  /* changes of phase, ever */
    uint32_t run;      /* laps of the first phase since it was entered, */
    uint32_t last_run; /* and the time before; 0 when that is not known */
    uint32_t side;     /* the phase that came then */
    struct pass_visit *visits;
    uint32_t *again; /* the next position of the same key, or its own when there is none */
    struct pass_place *places;
    bool settled;     /* how long visits last is not learned any more */
    uint64_t laps;    /* of the first phase, ended */
    uint64_t moves;   /* changes of position, ever */
    uint64_t jumps;   /* touches that were elsewhere in the pass, ever */
    uint64_t foreign; /* touches of what is not in the pass, ever */
};

/*
 * The last `n` visits, the last being now; of a learner that knows, a period. 0, -ENOMEM, or
 * -ENODATA when there are none.
 */
int pass_init(struct pass *pass, const struct pass_learner *learner, uint32_t n);
void pass_fini(struct pass *pass);

/*
 * All visits of the learner, of pieces that the pass does not have, become another phase. 0,
 * -ENODATA when there are none, -ENOSPC when there are phases enough, or -ENOMEM; then the pass is
 * as it was.
 */
int pass_append(struct pass *pass, const struct pass_learner *learner);

/* Visits gone by, counted from the begin; only grows. */
static inline uint64_t pass_position(const struct pass *pass)
{
    return pass->begin + (pass->at - pass->phases[pass->phase].first);
}

enum pass_step {
    PASS_STAYS,   /* the newest visits go on */
    PASS_MOVES,   /* to a later position, perhaps skipping some, or to another phase; pass->at is
                     there now */
    PASS_JUMPS,   /* to an unexpected position; pass->at is there now */
    PASS_FOREIGN, /* not in the pass */
};

enum pass_step pass_touch(struct pass *pass, uint64_t key);

/* NULL when the key is not in the pass. */
const struct pass_place *pass_find(const struct pass *pass, uint64_t key);

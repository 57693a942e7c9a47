/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Streaming: a model that is larger than the card is read through a ring of device memory, copied
 * ahead of use.
 *
 *   learning   nothing moves; the pass is looked for in what launches name
 *   comparing  for one more pass everything that runs is noted, between two digests of all pieces
 *   blaming    for another one, if it is not clear who wrote what has changed, after every launch
 *   running    what was not changed takes turns in the ring or is resident, what was is resident
 *   resting    no pass was found: homes move by age, until it is tried again
 *
 * Every home stays mapped and right in all of them. A launch reads the ring only by arguments that
 * were seen to leave their memory as it was, and only copies that nothing of unknown effect has
 * been submitted since. Whatever else happens reads the home.
 *
 * Locking: the pager's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/card.h"
#include "runtime/chain.h"
#include "runtime/digest.h"
#include "runtime/experts.h"
#include "runtime/extents.h"
#include "runtime/guard.h"
#include "runtime/pass.h"
#include "runtime/pieces.h"
#include "runtime/redirect.h"
#include "runtime/ring.h"
#include "runtime/side.h"
#include "runtime/spread.h"
#include "runtime/trust.h"
#include "runtime/window.h"

enum streaming_state {
    STREAMING_LEARNING,
    STREAMING_COMPARING,
    STREAMING_BLAMING,
    STREAMING_RUNNING,
    STREAMING_ENDING, /* waits for a safe point at which what it holds can be given back */
    STREAMING_RESTING,
};

struct streaming {
    enum streaming_state state;
    struct transfer *transfer;   /* of the context that streams, */
    struct transfer noter;       /* and another stream of it, for digests of first copies */
    struct pass_learner learner; /* of where buffers begin; then of all their blocks, for a lap */
    struct pass pass;            /* of the same, one after the other */
    struct piece *pieces;        /* all blocks of the ranges that the pass is about */
    uint32_t n_pieces;
    struct ring ring;
    uint64_t at;      /* where the program is, as the ring counts, */
    uint64_t entries; /* and of which of pass.entries that is */
    struct side side; /* what is read beside the pass */
    struct windows windows;
    struct guard guard;
    struct experts experts; /* of a plan without a ring */
    struct trust trust;
    struct digester digester;
    struct probe *probes; /* launches that were timed */
    uint32_t n_probes;
    uint64_t weighing;        /* times that all of them were dropped */
    CUfunction launched;      /* last, while changes are explained */
    bool blamed;              /* some function, for one of them */
    bool hopeless;            /* there is somebody who writes and was not found */
    bool unsure;              /* whether launches wrote to what has no home */
    bool by_plan;             /* of the user, not learned */
    uint64_t reserve;         /* bytes that are kept for what the plan says will be written */
    double link;              /* milliseconds in which it copies a byte */
    struct trial *trials;     /* functions that were launched under it */
    uint64_t clock;           /* launches under it */
    struct chain chain;       /* of these, those that may write anything */
    bool apart;               /* since the last of them nobody has named what takes turns */
    uint64_t apart_at;        /* the clock at that, */
    uint64_t apart_after;     /* and so many launches after the one before */
    uint64_t proof_at;        /* pass.moves at which it is looked who can be trusted, */
    uint64_t proof_after;     /* and so many later again */
    bool watching;            /* functions and submissions of unknown effect */
    uint64_t plan;            /* number of the plan, so that late news of another one is known */
    uint64_t unknown;         /* submissions of unknown effect that have been dealt with */
    uintptr_t unloads;        /* layout_unloads() that the trust is good for */
    uint64_t rounds;          /* times that as many moves as the pass is long were made */
    uint64_t moves;           /* pass.moves and */
    uint64_t jumps;           /* pass.jumps at the begin of the round */
    uint64_t hits, misses;    /* launches of the round that named pieces with turns */
    uint64_t still;           /* launches since the last move */
    uint64_t outsider;        /* id of a range that is away and not in the plan; 0 for none */
    uint64_t outsider_before; /* in the round before */
    uint64_t check_round;     /* for the next look at what was noted */
    uint64_t check_after;     /* rounds between two, growing */
    uint64_t rest;            /* launches still to rest */
};

/* NULL for a block that the plan has nothing to do with. */
static inline struct piece *piece_of(const struct streaming *s, const struct block *block)
{
    return block->piece ? &s->pieces[block->piece - 1] : NULL;
}

/*
 * A launch is about to be given to the driver. True when streaming is in charge of where its memory
 * is; *out is then the redirected launch or NULL for the program's own. False: move homes.
 */
bool streaming_launch(struct pager *pager, const struct driver *drv, const struct launch *launch,
                      struct extents *extents, struct redirect **out);
/* Whether launches may be given copies. */
bool streaming_is_running(const struct pager *pager);
/* Whether so many launches that are about to come as one graph had better come one by one. */
bool streaming_wants_pieces(struct pager *pager, uint32_t n_launches);
/* The redirected launch was given to the driver, in whatever context. */
void streaming_launched(const struct driver *drv, struct redirect *redirect);

/* There is more device memory than the plan was made for. */
void streaming_more_room(struct pager *pager);

/* Gives back what a plan that is over holds, if a safe point can be had. */
void streaming_reclaim(struct pager *pager, const struct driver *drv);

/* card_enter() for whoever is going to move homes: a plan that is running ends, for its windows
 * show where they were. */
bool streaming_make_way(struct pager *pager, const struct driver *drv, struct transfer **out);
/* The same for whoever moves homes so that what a launch names is mapped: a plan that is being made
 * goes on. */
bool streaming_pause(struct pager *pager, const struct driver *drv, struct transfer **out);
/* Whether what the launch was given to read is still there. */
bool streaming_still_reads(const struct redirect *redirect);
/* Before the chunks of a range go. No work of the program uses it any more. */
void streaming_forget(struct pager *pager, const struct driver *drv, const struct range *range);
/* The memory of a range is another allocation from now on. Work that has been submitted may still
 * read the old one. */
void streaming_renew(struct pager *pager, const struct range *range);
/* The handle may come to mean another stream. */
void streaming_stream_gone(struct pager *pager, CUstream stream);
/* The context is gone, no driver call may be made in it. */
void streaming_context_gone(struct pager *pager, const struct driver *drv, CUcontext ctx);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a plan is about: every block of the ranges that the pass reads, what has been seen of it,
 * and what became of it. Inside of streaming.h.
 *
 * Locking: the pager's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"
#include "runtime/residency.h"
#include "runtime/spread.h"

struct streaming;

enum {
    PIECES_REWRITES = 2, /* plans that a piece has ended: from then on it counts as written */
};

struct piece {
    struct block *block;
    uint64_t bytes; /* of these, the program's: block_used() when the plan was made */
    uint64_t digest;
    int32_t turn;          /* its first, or -1 */
    uint32_t stretch;      /* blocks of the longest that one argument names with it */
    bool changed;          /* between the last two digests */
    bool explained;        /* by somebody who was given a pointer to it */
    bool beside;           /* in one buffer with something that changed */
    bool named;            /* by a launch of the lap */
    bool in_place;         /* read there in less time than copying takes */
    bool wanted;           /* by somebody who reads it faster when it was copied */
    bool stays;            /* on the device */
    bool undigested;       /* nobody has looked what is in it */
    bool noted;            /* but the guard, when it was first staged */
    bool idle;             /* nobody reads copies of it, so there are none any more */
    uint64_t first_copied; /* the launch before which it was first copied to its slot, */
    uint64_t copied;       /* and last, */
    uint64_t checked;      /* and the last time of which the guard looks at the copy; 0: never */
};

/* What a block is called in the pass. */
static inline uint64_t piece_key(const struct block *block)
{
    return block->range->id << 24 | block->index;
}

/* Whether its range is still there; whether nobody is known to write it; and whether launches may
 * be given copies of it. */
bool piece_is_there(const struct piece *piece);
bool piece_is_clean(const struct piece *piece);
bool piece_may_stream(const struct streaming *s, const struct piece *piece);
/* Nobody in the pass reads or writes it; so is what is no piece. */
bool pieces_is_beside(const struct streaming *s, const struct block *block);
enum spread_class piece_class(const struct streaming *s, const struct piece *piece);

/* All blocks of a range become pieces. 0 or -ENOMEM. */
int pieces_add(struct streaming *s, struct range *range);
uint64_t pieces_bytes(const struct streaming *s);
uint64_t pieces_on_device(const struct streaming *s);
/* The range of some pieces, by its id; NULL when it is none of theirs. */
struct range *pieces_range(const struct streaming *s, uint64_t id);
bool pieces_name(const struct streaming *s, const struct range *range);
/* The piece at each position of the pass; NULL where it is not there any more. The caller frees it;
 * NULL when memory is short. */
struct piece **pieces_in_pass(const struct streaming *s);

/* At a safe point: takes digests of all pieces, or of those that nobody is known to write, and
 * notes which have changed. 0 or -errno. */
int pieces_compare(struct streaming *s, const struct driver *drv, bool clean_only,
                   uint32_t *out_changed);
/* Takes those of the pieces of a range, which are not part of the pass yet, and says whether some
 * had been written since they were taken last. */
int pieces_digest_range(struct streaming *s, const struct driver *drv, const struct range *range,
                        bool *out_changed);
/* Something that nobody is known to write was never looked at: there is nothing to compare. */
bool pieces_undigested(const struct streaming *s);
/* Whether anything that takes turns has changed: who has written it is not known. */
bool pieces_turns_changed(const struct streaming *s);
/* What was written under another plan may be so again, whether it was in this lap or not. */
void pieces_recall_rewrites(struct streaming *s);

/* The blocks of the plan must not be looked at again. */
void pieces_forget(struct streaming *s);
/* Those of this range. Where copies may be all there is of other ranges, these are kept for the end
 * of the plan. */
void pieces_forget_range(struct streaming *s, const struct range *range);
/* The range goes. True when the plan can do without it: none of it takes turns, and there are
 * others. */
bool pieces_detach(struct streaming *s, const struct range *range);

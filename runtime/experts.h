/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which parts of sparsely read memory are read: stacks of experts, of which the device chooses a
 * few. Inside of streaming.h, while a plan runs that streams nothing: what is read all the time is
 * resident, and what is read sparsely shares the rest of the card.
 *
 * Behind each launch on such memory the small buffers that it was given are copied to the host and
 * looked at when the next lap begins. When it is clear which of them says what is read (indices.h),
 * chunks change places between the tiers by what is read of them (heat.h). Nothing is correct
 * because of it: what is not on the device is read in place.
 *
 * Locking: the pager's, but for experts_behind().
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "runtime/indices.h"
#include "runtime/peek.h"
#include "runtime/redirect.h"
#include "runtime/table.h"

enum {
    EXPERTS_LEARNED_MAX = 128, /* groups of a function that it is learned from */
};

struct pager;
struct extents;
struct range;
struct streaming;

/* A stack that a function is given. */
struct experts_stack {
    struct range *range; /* while its id is that of the key */
    uint32_t first;      /* block */
    uint32_t n_blocks;
    uint8_t *away;  /* by block: at the begin of the lap */
    uint64_t *read; /* by block: bytes, by the launch that is being looked at */
};

/* No padding: it is a key. */
struct experts_key {
    uint64_t function; /* the handle */
    struct {
        uint64_t range; /* id; 0 for none */
        uint64_t at;    /* bytes into it */
        uint64_t bytes;
    } stacks[INDICES_STACKS];
};

/* Launches of one function on the same stacks. */
struct experts_group {
    struct experts_key key;
    struct experts_family *family;
    uint32_t number; /* of the family's groups */
    struct indices_group shape;
    struct indices_parts named; /* by the launch that was looked at last */
    struct experts_stack stacks[INDICES_STACKS];
    UT_hash_handle hh;
};

enum experts_state {
    EXPERTS_LEARNING,
    EXPERTS_KNOWN,
    EXPERTS_HOPELESS, /* nothing that it is given says what it reads */
};

/* A function: where it finds its numbers does not differ between its launches. */
struct experts_family {
    uint64_t function;
    enum experts_state state;
    struct indices_rule rule;
    uint32_t attempts;
    uint32_t n_groups; /* of this plan */
    struct indices_sample *samples;
    uint32_t n_samples;
    struct indices_point *points; /* what came of the rule lately */
    uint32_t n_points;
    uint64_t named;    /* parts, by all launches, */
    uint64_t arrivals; /* and those of them that the launch before did not name */
    UT_hash_handle hh;
};

/* A launch that is in flight, or was; owned by its redirect until experts_behind(). */
struct experts_record {
    struct experts_group *group; /* NULL: free */
    uint32_t number;
    atomic_bool lost; /* nothing will come of it */
    CUevent begin;
    CUevent end;
    uint32_t n;
    struct indices_source sources[INDICES_SOURCES];
    struct peek_source from[INDICES_SOURCES];
};

struct experts {
    bool on;
    struct peek peek;
    struct experts_record *records;
    uint32_t n_records;
    uint32_t next;                     /* record to look for a free one from */
    uint32_t number;                   /* of the last launch */
    uint64_t laps;                     /* that have been looked at */
    uint64_t not_before;               /* lap: no swap is tried */
    const struct experts_record *last; /* launch that was looked at */
    uintptr_t unloads;
    struct experts_group *groups;
    struct experts_family *families;
};

/* A plan begins, at a safe point. Without memory, or a driver that can, nothing is done. */
void experts_begin(struct pager *pager, const struct driver *drv);
/* It is over: nothing is in flight. `alive`: the context still is. */
void experts_end(struct pager *pager, const struct driver *drv, bool alive);

/* Before a launch. Whoever is sampled is given a redirect, if there was none. */
void experts_launch(struct pager *pager, const struct driver *drv, const struct launch *launch,
                    const struct extents *extents, struct redirect **redirect);
/* Directly behind it, inside the gate. */
void experts_behind(const struct driver *drv, struct redirect *redirect);

/* Whether the stack is still the memory that it was when the group was made. */
bool experts_is_there(const struct experts_group *group, uint32_t stack);

/* runtime/experts_learn.c: a launch of the group has ended, and this is what it was given. */
void experts_learn(struct experts *x, struct experts_group *group,
                   const struct indices_sample *sample);

/* runtime/experts_swap.c: moves what is worth it. Chunks that come keep their place in host memory
 * as far as there is room, so that they need not be copied when they go again unchanged. False
 * when nothing could be moved. */
bool experts_swap(struct pager *pager, const struct driver *drv);
/* Gives these places back, and those of what came when the plan was made. True when there were
 * any. */
bool experts_drop_shadows(struct pager *pager, const struct driver *drv);

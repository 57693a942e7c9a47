/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Writing run functions: warp state, and loops over lanes.
 *
 * With all 32 lanes active the loop has a constant length and independent steps, which the compiler
 * turns into vector code; otherwise only the active lanes are visited.
 */

#include <string.h>

#include "tests/sim/ptx_code.h"

/* Vector code for newer x86-64 CPUs is chosen when the program starts. Sanitizers break that. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__OPTIMIZE__)
#define PTX_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define PTX_CLONES
#endif

#if defined(__clang__)
/* Not every loop can become vector code; that is no mistake. */
#pragma clang diagnostic ignored "-Wpass-failed"
#define PTX_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define PTX_INDEPENDENT _Pragma("GCC ivdep")
#endif

#define PTX_ALL_LANES (~(uint32_t)0)

/* Defines a run function; the body sees warp, insn and mask. */
#define RUN(name)                                                                                  \
    PTX_CLONES static enum ptx_step name(struct ptx_warp *warp, const struct ptx_insn *insn,       \
                                         uint32_t mask)

#define EACH_LANE(...)                                                                             \
    do {                                                                                           \
        if (mask == PTX_ALL_LANES) {                                                               \
            PTX_INDEPENDENT                                                                        \
            for (unsigned int lane = 0; lane < PTX_LANES; lane++) {                                \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        } else {                                                                                   \
            for (uint32_t rest = mask; rest; rest &= rest - 1) {                                   \
                unsigned int lane = (unsigned int)__builtin_ctz(rest);                             \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        }                                                                                          \
    } while (0)

#define EACH_ACTIVE_LANE(lane, mask)                                                               \
    for (uint32_t rest_ = (mask), lane = rest_ ? (uint32_t)__builtin_ctz(rest_) : 0; rest_;        \
         rest_ &= rest_ - 1, lane = rest_ ? (uint32_t)__builtin_ctz(rest_) : 0)

/* The destination and the sources as arrays of 32 lanes. */
#define DST(type) type *d = ptx_slot(warp, insn->dst)
#define A(type)   const type *a = ptx_slot(warp, insn->src[0])
#define B(type)   const type *b = ptx_slot(warp, insn->src[1])
#define C(type)   const type *c = ptx_slot(warp, insn->src[2])

#define PTX_UNARY(name, td, ta, expression)                                                        \
    RUN(name)                                                                                      \
    {                                                                                              \
        DST(td);                                                                                   \
        A(ta);                                                                                     \
        EACH_LANE(const ta x = a[lane]; d[lane] = (td)(expression));                               \
        return PTX_STEP_NEXT;                                                                      \
    }
#define PTX_BINARY(name, td, ta, tb, expression)                                                   \
    RUN(name)                                                                                      \
    {                                                                                              \
        DST(td);                                                                                   \
        A(ta);                                                                                     \
        B(tb);                                                                                     \
        EACH_LANE(const ta x = a[lane]; const tb y = b[lane]; d[lane] = (td)(expression));         \
        return PTX_STEP_NEXT;                                                                      \
    }
#define PTX_TERNARY(name, td, ta, tb, tc, expression)                                              \
    RUN(name)                                                                                      \
    {                                                                                              \
        DST(td);                                                                                   \
        A(ta);                                                                                     \
        B(tb);                                                                                     \
        C(tc);                                                                                     \
        EACH_LANE(const ta x = a[lane]; const tb y = b[lane]; const tc z = c[lane];                \
                  d[lane] = (td)(expression));                                                     \
        return PTX_STEP_NEXT;                                                                      \
    }

struct ptx_launch_state;
struct ptx_grid;
struct ptx_block;
struct ptx_calls;

struct ptx_warp {
    uint8_t *file; /* the registers */
    const struct ptx_insn *code;
    struct ptx_block *block;
    struct ptx_launch_state *launch;
    struct ptx_calls *calls; /* NULL until there is one (ptx_call.h) */
    uint8_t *local;          /* local memory of lane 0; the other lanes' follow */
    unsigned int index;

    /* Lanes that have not exited; of these, waiting at a barrier, or for lanes of this warp. */
    uint32_t live, waiting, stalled;
    uint32_t active;   /* the lanes that run now; the others' place is in lane_pc */
    uint32_t others;   /* live lanes that neither run nor wait at a barrier */
    uint32_t pc;       /* where the active lanes are, after PTX_STEP_JUMP */
    uint32_t meet;     /* the next place at which other lanes are */
    bool forced;       /* no more waiting for lanes of this warp: they cannot come */
    uint32_t carry;    /* of each lane, from the last .cc */
    uint32_t patience; /* backward jumps until others get a turn */
    uint32_t lane_pc[PTX_LANES];
    uint64_t steps;        /* instructions issued */
    const void *looked_at; /* ptx_warp_look() */
    uint64_t looked_value;
};

#define PTX_BARRIERS 17 /* the last one is the cluster's */

struct ptx_barrier {
    uint32_t arrived;  /* threads */
    uint32_t votes;    /* of these, how many gave bar.red a true predicate */
    uint32_t expected; /* 0: all live threads */
    bool gives;        /* some of them are to get a result: ptx_barrier_result() */
    uint32_t *waiting; /* lanes, by warp */
};

struct ptx_block {
    const struct ptx_launch *launch;
    unsigned int index[3];
    struct ptx_warp *warps;
    unsigned int n_warps;
    unsigned int live; /* threads that have not exited */
    bool waits;        /* in this turn, a warp seemed to wait for what another block does */
    uint8_t *shared;
    size_t shared_bytes;
    struct ptx_barrier barriers[PTX_BARRIERS];
};

#define PTX_CACHE 64 /* a bit of 64 stands for each */

/* One translated stretch of device memory, within one page. */
struct ptx_stretch {
    uint64_t from;  /* first address */
    uint64_t last;  /* last byte; below `from` when the entry is empty */
    uint64_t delta; /* host address minus device address */
    uint64_t bytes; /* accessed and not yet accounted */
};

/* A launch, in one of the threads that run it. */
struct ptx_launch_state {
    const struct ptx_kernel *kernel;
    const struct ptx_launch *launch;
    uint64_t *workspace; /* of the grid's barrier: PTX_WORKSPACE_BYTES that all threads share */
    const bool *stopped; /* another thread has a fault; read atomically */
    struct ptx_fault *fault;
    enum ptx_outcome outcome;
    uint64_t instructions; /* thread instructions executed */
    uint64_t call_at;      /* so many of them are reason for ptx_grid_call() */
    struct ptx_grid *grid;
    struct ptx_stretch cache[2][PTX_CACHE]; /* for reading, for writing; by page number */
    uint64_t cached[2];                     /* which of these are not empty */
};

/* Makes the cache empty, once; then accounts what is in it and empties it. */
void ptx_memory_init(struct ptx_launch_state *state);
void ptx_memory_flush(struct ptx_launch_state *state);

static inline void *ptx_slot(const struct ptx_warp *warp, uint32_t slot)
{
    return __builtin_assume_aligned(warp->file + slot, 4);
}

static inline uint32_t ptx_predicate(const struct ptx_warp *warp, uint32_t slot)
{
    return *(const uint32_t *)(warp->file + slot);
}

static inline void ptx_set_predicate(struct ptx_warp *warp, uint32_t slot, uint32_t value,
                                     uint32_t mask)
{
    uint32_t *at = ptx_slot(warp, slot);
    *at = (*at & ~mask) | (value & mask);
}

static inline uint32_t ptx_pc(const struct ptx_warp *warp, const struct ptx_insn *insn)
{
    return (uint32_t)(insn - warp->code);
}

/* How many backward jumps a warp makes until others get a turn. */
#define PTX_PATIENCE 4096

/* The warp seems to wait: the turn of others comes sooner. */
static inline void ptx_warp_wait(struct ptx_warp *warp)
{
    uint32_t patience = warp->patience;

    warp->block->waits = true;
    warp->patience = patience > PTX_PATIENCE / 64 ? patience - PTX_PATIENCE / 64 : 1;
}

/* The warp finds `value` at `at`, where others may be about to write. When that is what it found
 * the last time, it may wait for something else. */
static inline void ptx_warp_look(struct ptx_warp *warp, const void *at, uint64_t value)
{
    if (warp->looked_at == at && warp->looked_value == value)
        ptx_warp_wait(warp);
    warp->looked_at = at;
    warp->looked_value = value;
}

/* Notes where these lanes go on. */
void ptx_warp_park(struct ptx_warp *warp, uint32_t lanes, uint32_t pc);
/* What bar.red gives to a lane whose barrier opens; nothing for other barriers. */
void ptx_barrier_result(struct ptx_warp *warp, const struct ptx_barrier *barrier,
                        unsigned int lane);
/* Opens every barrier that all of its threads have reached. */
void ptx_barriers_check(struct ptx_block *block);
/* Ends the launch; returns PTX_STEP_STOP. */
enum ptx_step ptx_warp_fault(struct ptx_warp *warp, const struct ptx_insn *insn, unsigned int lane,
                             enum ptx_outcome outcome, uint64_t address, bool write);
/* For instructions that need all lanes of `members`: true when the active ones must wait; then the
 * instruction returns PTX_STEP_SELECT. */
bool ptx_warp_stall(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t members);
/* Host pointers for each lane in `mask` to access insn->src[0] + insn->imm; PTX_STEP_STOP after a
 * fault. `bytes` is a power of two. */
enum ptx_step ptx_resolve(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask,
                          unsigned int bytes, bool write, uint8_t *pointers[PTX_LANES]);

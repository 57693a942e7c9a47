/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Contexts: the primary one of each device, and those programs create.
 */

#include "tests/sim/core.h"

struct stream;
struct capture;

struct context {
    struct context *next;
    uint64_t id; /* never reused */
    int device;
    bool primary;
    unsigned int retained; /* primary: cuDevicePrimaryCtxRetain minus Release */
    bool alive;
    unsigned int flags;
    CUresult sticky;        /* what every later call returns; CUDA_SUCCESS while healthy */
    struct stream *streams; /* all, drained ones of gone handles excepted */
    struct stream *legacy;  /* the legacy default stream; never NULL while alive */
    size_t limits[CU_LIMIT_MAX];
    CUfunc_cache cache_config;
    uint8_t peers; /* a bit per device whose memory cuCtxEnablePeerAccess opened to this one */
};

extern struct context *contexts;

/*
 * The calling thread's current context, fit for use: NOT_INITIALIZED, INVALID_CONTEXT,
 * CONTEXT_IS_DESTROYED or the context's sticky error otherwise.
 */
CUresult context_require(struct context **out);
/* For calls that work without a context: only the sticky error of a current one. */
CUresult context_check_sticky(void);
/* The current context; NULL when there is none. */
struct context *context_current(void);

/* Marks the context broken and drops everything queued in it. */
void context_break(struct context *context, CUresult error);
/* Runs everything queued in it; returns its sticky error. */
CUresult context_drain(struct context *context);
/* The same for every context of a device, so that queued frees have happened. */
void context_drain_device(int device);
/* The next of a sequence that the seed decides. */
uint64_t context_random(void);
/* Now and then runs a little of what some stream has queued. */
void context_stir(void);
bool device_is_valid(CUdevice device);
void context_reset_limits(struct context *context);
/* Whether a card can be let into another's memory. */
bool peer_is_possible(int device, int peer);
/* Takes back what cuCtxEnablePeerAccess gave. */
void peer_forget_context(struct context *context);
/* The primary context of a device, alive or not. */
struct context *context_primary(CUdevice device);

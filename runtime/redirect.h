/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A launch whose parameters have been replaced: copies of them, in which some words differ.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"
#include "runtime/guard.h"
#include "runtime/layout.h"

struct experts;
struct experts_record;
struct pager;
struct probe;
struct trial;

enum {
    REDIRECT_SLOTS_MAX = 128,
};

struct redirect {
    void **kernel_params; /* for the driver, in place of the program's */
    void **extra;

    /* For whoever asked for it: what the launch reads, so that it can be told when it is given to
     * the driver. */
    struct pager *pager;
    uint64_t plan;
    CUstream stream;
    struct probe *probe; /* the launch is timed, nothing else; NULL, or there as long as */
    uint64_t weighing;   /* streaming.weighing is this */
    struct trial *trial; /* it is the first of its function, and is timed */
    uint32_t n_slots;
    uint32_t slots[REDIRECT_SLOTS_MAX];
    struct guard *guard; /* looks at some of these before and behind the launch, */
    uint32_t n_entries;
    struct guard_entry *entries;
    bool unguarded;   /* and could not */
    bool fresh;       /* nothing ran since these were copied: there is nothing to look at before */
    CUevent ended;    /* recorded directly behind the launch, if it is in the chain; or NULL */
    bool astray;      /* it could not be */
    CUresult refused; /* what it needs is not there: it is not made, and the program told this */
    const struct experts *experts;
    struct experts_record *record; /* what it reads of its memory is looked at, or NULL */

    void *extra_words[5];
    size_t bytes;
    char *packed;
};

/* What a program asks to launch. */
struct launch {
    CUfunction function;
    const struct layout *layout;
    CUstream stream;
    void *const *kernel_params;
    void *const *extra;
};

/* A copy of the launch's parameters; NULL when there is no memory or they cannot be copied. */
struct redirect *redirect_new(const struct launch *launch);
/* With the program's own parameters, not copied: to be given to the driver while it is known that
 * nobody is at a safe point. */
struct redirect *redirect_nowhere(const struct launch *launch);
void redirect_free(struct redirect *redirect);
/* The program's own words again. */
void redirect_restore(struct redirect *redirect, const struct launch *launch);
void redirect_word(struct redirect *redirect, const struct layout_word *word, uint64_t value);

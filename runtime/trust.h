/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What has been seen to leave memory as it was: functions, and what each was given in which place.
 *
 * While everything that runs is watched and a comparison of digests is under way, what is launched
 * is noted; when nothing has changed by the end of it, all of that is trusted.
 *
 * Locking: the pager's. When there is no memory left, less is trusted.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"
#include "runtime/table.h"

/* A function's parameter word that named a stretch of blocks. No padding: it is a key. */
struct trust_use {
    uint64_t function; /* the handle */
    uint64_t range;    /* id */
    uint32_t word;     /* bytes into the packed parameters */
    uint32_t first;    /* blocks, both ends included */
    uint32_t last;
    uint32_t zero;
};

struct trusted_use {
    struct trust_use use;
    bool earned;
    bool in_place; /* it reads little of what it is given, or only notes where that is */
    UT_hash_handle hh;
};

struct trusted_function {
    uint64_t function;
    bool earned;
    bool known; /* earned because the plan of the user says so, */
    bool asked; /* if it does */
    bool barred;
    uint64_t early, late; /* two launches of it: see proof.c; 0 for none */
    uint64_t late_moves;  /* of the pass, at the second */
    UT_hash_handle hh;
};

struct trust {
    struct trusted_use *uses;
    struct trusted_function *functions;
    bool waiting; /* something was noted that is not trusted yet */
};

/* Notes it; whether it is trusted already. */
bool trust_function(struct trust *trust, CUfunction function);
bool trust_use(struct trust *trust, const struct trust_use *use);
/* It is trusted without having been seen. */
void trust_presume(struct trust *trust, const struct trust_use *use);
/* NULL when it was not noted. */
struct trusted_use *trust_find(const struct trust *trust, const struct trust_use *use);
struct trusted_function *trust_find_function(const struct trust *trust, CUfunction function);
/* Nothing has changed since the last call: what was noted is trusted. */
void trust_earn(struct trust *trust);
/* Those functions are trusted of which it is true. */
typedef bool trust_proven_fn(void *context, const struct trusted_function *function);
void trust_earn_if(struct trust *trust, trust_proven_fn *proven, void *context);
/* It was noted, and the plan of the user says that it is harmless: it is trusted for as long as the
 * plan is followed. */
void trust_know(struct trust *trust, struct trusted_function *function);
/* What was noted and is not trusted has to be noted again. */
void trust_note_anew(struct trust *trust);
/* The function writes elsewhere than where it was given: it is never trusted. */
void trust_bar(struct trust *trust, CUfunction function);
/* Somebody does so. If there are functions that have run without, it is one of the others, and
 * they are barred. False: it could be any. */
bool trust_bar_strangers(struct trust *trust);
/* Nobody looks any more whether something changes: what was noted is not trusted, nor is what the
 * plan of the user says. Nor are uses, whose blocks have other meanings now. */
void trust_stop(struct trust *trust);
/* Handles have other meanings now. */
void trust_forget(struct trust *trust);

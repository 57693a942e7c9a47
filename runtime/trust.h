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
    bool barred;
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
/* They are trusted without having been seen. */
void trust_presume(struct trust *trust, const struct trust_use *use);
void trust_presume_function(struct trust *trust, CUfunction function);
/* NULL when it was not noted. */
struct trusted_use *trust_find(const struct trust *trust, const struct trust_use *use);
/* Nothing has changed since the last call: what was noted is trusted. */
void trust_earn(struct trust *trust);
/* The function writes elsewhere than where it was given: it is never trusted. */
void trust_bar(struct trust *trust, CUfunction function);
/* Somebody does so. If there are functions that have run without, it is one of the others, and
 * they are barred. False: it could be any. */
bool trust_bar_strangers(struct trust *trust);
/* Nobody looks any more whether something changes: what was noted is not trusted. Nor are uses,
 * whose blocks have other meanings now. */
void trust_stop(struct trust *trust);
/* Handles have other meanings now. */
void trust_forget(struct trust *trust);

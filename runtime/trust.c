/* SPDX-License-Identifier: MIT */
#include "runtime/trust.h"

#include <stdlib.h>

#include "runtime/repute.h"

struct trusted_function *trust_find_function(const struct trust *trust, CUfunction function)
{
    uint64_t handle = (uintptr_t)function;
    struct trusted_function *found;

    HASH_FIND(hh, trust->functions, &handle, sizeof(handle), found);
    return found;
}

bool trust_function(struct trust *trust, CUfunction function)
{
    struct trusted_function *found = trust_find_function(trust, function);

    if (found)
        return found->earned && !found->barred;
    found = calloc(1, sizeof(*found));
    if (!found)
        return false;
    found->function = (uintptr_t)function;
    HASH_ADD(hh, trust->functions, function, sizeof(found->function), found);
    if (!found->hh.tbl) {
        free(found);
        return false;
    }
    trust->waiting = true;
    return false;
}

struct trusted_use *trust_find(const struct trust *trust, const struct trust_use *use)
{
    struct trusted_use *found;

    HASH_FIND(hh, trust->uses, use, sizeof(*use), found);
    return found;
}

void trust_presume(struct trust *trust, const struct trust_use *use)
{
    struct trusted_use *presumed = calloc(1, sizeof(*presumed));

    if (!presumed)
        return;
    presumed->use = *use;
    presumed->earned = true;
    HASH_ADD(hh, trust->uses, use, sizeof(presumed->use), presumed);
}

bool trust_use(struct trust *trust, const struct trust_use *use)
{
    struct trusted_use *found = trust_find(trust, use);

    if (found)
        return found->earned;
    found = calloc(1, sizeof(*found));
    if (!found)
        return false;
    found->use = *use;
    HASH_ADD(hh, trust->uses, use, sizeof(found->use), found);
    if (!found->hh.tbl) {
        free(found);
        return false;
    }
    trust->waiting = true;
    return false;
}

void trust_bar(struct trust *trust, CUfunction function)
{
    struct trusted_function *found;

    (void)trust_function(trust, function);
    found = trust_find_function(trust, function);
    if (found)
        found->barred = true;
    repute_barred(function);
}

static void earn(struct trusted_function *function)
{
    if (function->earned)
        return;
    function->earned = true;
    repute_earned((CUfunction)(uintptr_t)function->function);
}

void trust_earn(struct trust *trust)
{
    for (struct trusted_function *f = trust->functions; f; f = f->hh.next)
        earn(f);
    for (struct trusted_use *u = trust->uses; u; u = u->hh.next)
        u->earned = true;
    trust->waiting = false;
}

static bool is_waiting(const struct trust *trust)
{
    bool waiting = false;

    for (const struct trusted_function *f = trust->functions; f && !waiting; f = f->hh.next)
        waiting = !f->earned && !f->barred;
    for (const struct trusted_use *u = trust->uses; u && !waiting; u = u->hh.next)
        waiting = !u->earned;
    return waiting;
}

void trust_earn_if(struct trust *trust, trust_proven_fn *proven, void *context)
{
    for (struct trusted_function *f = trust->functions; f; f = f->hh.next) {
        if (proven(context, f))
            earn(f);
    }
    trust->waiting = is_waiting(trust);
}

void trust_know(struct trust *trust, struct trusted_function *function)
{
    function->known = true;
    earn(function);
    trust->waiting = is_waiting(trust);
}

bool trust_bar_strangers(struct trust *trust)
{
    size_t strangers = 0;
    size_t others = 0;

    for (struct trusted_function *f = trust->functions; f; f = f->hh.next) {
        strangers += !f->earned;
        others += f->earned;
    }
    if (!strangers || !others)
        return false;
    for (struct trusted_function *f = trust->functions; f; f = f->hh.next) {
        if (!f->earned)
            trust_bar(trust, (CUfunction)(uintptr_t)f->function);
    }
    return true;
}

static void forget_uses(struct trust *trust, bool all)
{
    struct trusted_use *use;
    struct trusted_use *next;

    HASH_ITER(hh, trust->uses, use, next)
    {
        if (!all && use->earned)
            continue;
        HASH_DEL(trust->uses, use);
        free(use);
    }
    trust->waiting = false;
}

static void forget_functions(struct trust *trust, bool all)
{
    struct trusted_function *function;
    struct trusted_function *next;

    HASH_ITER(hh, trust->functions, function, next)
    {
        if (!all && (function->earned || function->barred))
            continue;
        HASH_DEL(trust->functions, function);
        free(function);
    }
}

void trust_note_anew(struct trust *trust)
{
    forget_functions(trust, false);
    forget_uses(trust, false);
}

void trust_stop(struct trust *trust)
{
    for (struct trusted_function *f = trust->functions; f; f = f->hh.next)
        f->earned &= !f->known;
    forget_functions(trust, false);
    forget_uses(trust, true);
}

void trust_forget(struct trust *trust)
{
    forget_functions(trust, true);
    forget_uses(trust, true);
}

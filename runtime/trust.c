/* SPDX-License-Identifier: MIT */
#include "runtime/trust.h"

#include <stdlib.h>

bool trust_function(struct trust *trust, CUfunction function)
{
    uint64_t handle = (uintptr_t)function;
    struct trusted_function *found;

    HASH_FIND(hh, trust->functions, &handle, sizeof(handle), found);
    if (found)
        return found->earned && !found->barred;
    found = calloc(1, sizeof(*found));
    if (!found)
        return false;
    found->function = handle;
    HASH_ADD(hh, trust->functions, function, sizeof(found->function), found);
    trust->waiting = true;
    return false;
}

bool trust_use(struct trust *trust, const struct trust_use *use)
{
    struct trusted_use *found;

    HASH_FIND(hh, trust->uses, use, sizeof(*use), found);
    if (found)
        return found->earned;
    found = calloc(1, sizeof(*found));
    if (!found)
        return false;
    found->use = *use;
    HASH_ADD(hh, trust->uses, use, sizeof(found->use), found);
    trust->waiting = true;
    return false;
}

void trust_bar(struct trust *trust, CUfunction function)
{
    uint64_t handle = (uintptr_t)function;
    struct trusted_function *found;

    (void)trust_function(trust, function);
    HASH_FIND(hh, trust->functions, &handle, sizeof(handle), found);
    if (found)
        found->barred = true;
}

void trust_earn(struct trust *trust)
{
    for (struct trusted_function *f = trust->functions; f; f = f->hh.next)
        f->earned = true;
    for (struct trusted_use *u = trust->uses; u; u = u->hh.next)
        u->earned = true;
    trust->waiting = false;
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
    for (struct trusted_function *f = trust->functions; f; f = f->hh.next)
        f->barred |= !f->earned;
    return true;
}

void trust_forget_uses(struct trust *trust)
{
    struct trusted_use *use;
    struct trusted_use *next;

    HASH_ITER(hh, trust->uses, use, next)
    {
        HASH_DEL(trust->uses, use);
        free(use);
    }
    trust->waiting = false;
}

void trust_forget(struct trust *trust)
{
    struct trusted_function *function;
    struct trusted_function *next;

    HASH_ITER(hh, trust->functions, function, next)
    {
        HASH_DEL(trust->functions, function);
        free(function);
    }
    trust_forget_uses(trust);
}

/* SPDX-License-Identifier: MIT */
/*
 * A function is known by the bytes of its image, and what it does depends on its arguments and on
 * memory, too. So what was seen in another run is no more than a good reason to begin with: the
 * guard looks as it does after functions that were watched in this one, and one write that nobody
 * was expected to make ends it for all of them.
 *
 * A function that the plan knows is reported as others are, once it was launched: nothing spoke
 * against it, in a run that would have shown it.
 */
#include "runtime/repute.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/image.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct roll *known; /* by the plan; NULL without one */
static struct roll earned, barred;
static bool refuted;

void repute_open(const struct roll *plan)
{
    pthread_mutex_lock(&lock);
    known = plan;
    pthread_mutex_unlock(&lock);
}

bool repute_is_open(void)
{
    bool open;

    pthread_mutex_lock(&lock);
    open = known != NULL;
    pthread_mutex_unlock(&lock);
    return open;
}

bool repute_find(CUfunction function)
{
    bool found = false;
    uint64_t digest;
    char *name;

    if (!repute_is_open() || image_function(function, &digest, &name))
        return false;
    pthread_mutex_lock(&lock);
    found = !refuted && roll_has(known, digest, name) && !roll_has(&barred, digest, name);
    pthread_mutex_unlock(&lock);
    free(name);
    return found;
}

static int add(struct roll *roll, CUfunction function)
{
    uint64_t digest;
    char *name;
    int r;

    if (!repute_is_open())
        return 0;
    r = image_function(function, &digest, &name);
    if (r)
        return r;
    pthread_mutex_lock(&lock);
    r = roll_add(roll, digest, name);
    pthread_mutex_unlock(&lock);
    free(name);
    return r;
}

void repute_earned(CUfunction function)
{
    (void)add(&earned, function);
}

void repute_barred(CUfunction function)
{
    int r = add(&barred, function);

    if (r && r != -ENOENT)
        repute_refute();
}

void repute_refute(void)
{
    pthread_mutex_lock(&lock);
    refuted = true;
    pthread_mutex_unlock(&lock);
}

void repute_report(struct roll *out)
{
    *out = (struct roll){.n = 0};
    pthread_mutex_lock(&lock);
    if (!refuted && roll_add_all(out, &earned))
        roll_fini(out);
    for (uint32_t i = 0; i < barred.n; i++)
        roll_remove(out, barred.list[i].digest, barred.list[i].name);
    pthread_mutex_unlock(&lock);
}

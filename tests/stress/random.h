/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Numbers that a seed repeats: the same on every machine.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* From 0 to limit - 1; limit is not 0. */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return random_next(random) % limit;
}

/* From low to high, both included. */
static inline uint64_t random_between(struct random *random, uint64_t low, uint64_t high)
{
    return low + random_below(random, high - low + 1);
}

static inline bool random_chance(struct random *random, unsigned int percent)
{
    return random_below(random, 100) < percent;
}

/* From 1 to `most`, each order of magnitude as likely as the others. */
static inline uint64_t random_spread(struct random *random, uint64_t most)
{
    unsigned int bits = 64 - (unsigned int)__builtin_clzll(most);
    uint64_t limit = (uint64_t)2 << random_below(random, bits);

    return random_between(random, 1, limit - 1 < most ? limit - 1 : most);
}

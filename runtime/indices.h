/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a launch looks up in stacks of equal parts, where the device alone knows which: experts of a
 * layer, say. The numbers are in some buffer that the launch is given; which buffer, of what type,
 * how many of them count and how many parts a stack has is guessed, and a guess is believed only
 * when it foretells how long launches take: a part that is away costs its way over the link.
 *
 * Pure: no driver calls, no clock. Nothing but predictions comes of it.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
    INDICES_SOURCES = 8,  /* buffers of one launch that are looked at, */
    INDICES_BYTES = 2048, /* all together */
    INDICES_STACKS = 4,   /* that one launch looks the same numbers up in */
    INDICES_PARTS_MAX = 4096,
    INDICES_SAMPLES = 64, /* the least, beside one for each group */
};

/* Memory that is looked up in; its blocks lie one behind the other, all but the last whole. */
struct indices_stack {
    uint64_t bytes;
    uint64_t lead; /* bytes of the first block before it */
    uint64_t block_bytes;
    const uint8_t *away; /* by block: not 0 when it is read over the link */
};

/* What one launch is given. Launches are compared within a group, never between two. */
struct indices_group {
    uint32_t n_stacks;
    struct indices_stack stacks[INDICES_STACKS];
};

struct indices_source {
    uint16_t word;  /* parameter that pointed to it: bytes into the packed parameters */
    uint16_t bytes; /* of data, from `at` on */
    uint16_t at;
};

/* A launch, and what its buffers held then. */
struct indices_sample {
    uint32_t group;
    float ms;
    uint32_t n_sources;
    struct indices_source sources[INDICES_SOURCES];
    uint8_t data[INDICES_BYTES];
};

struct indices_rule {
    uint16_t word;
    uint8_t width;  /* bytes of a number: 4 or 8 */
    uint32_t parts; /* of a stack */
    uint32_t count; /* numbers of the buffer that are meant, at most */
};

/* One launch as a rule sees it. */
struct indices_point {
    uint32_t group;
    double bytes; /* that it must have read over the link */
    double ms;
};

/* How much of how the times differ within groups is explained by the bytes, 0 to 1; 0 when more
 * bytes take less time. *out_varied: the bytes did differ. */
double indices_agreement(const struct indices_point *points, uint32_t n, uint32_t n_groups,
                         bool *out_varied);

/* The rule that explains the samples best. False: none does well enough. */
bool indices_learn(const struct indices_sample *samples, uint32_t n,
                   const struct indices_group *groups, uint32_t n_groups, struct indices_rule *out);

/* Parts of a stack: a bit each. */
struct indices_parts {
    uint64_t bits[INDICES_PARTS_MAX / 64];
};

/* The parts that the sample names. False when it does not look as the rule says. */
bool indices_named(const struct indices_rule *rule, const struct indices_sample *sample,
                   const struct indices_group *group, struct indices_parts *out);

/* So many bytes of a block of a stack were read. */
typedef void indices_touch_fn(void *context, uint32_t stack, uint32_t block, uint64_t bytes);

/* Calls for each block of each of these parts. */
void indices_touches(const struct indices_rule *rule, const struct indices_group *group,
                     const struct indices_parts *parts, indices_touch_fn *touch, void *context);
/* Bytes of what the sample names that are away. */
uint64_t indices_away(const struct indices_rule *rule, const struct indices_sample *sample,
                      const struct indices_group *group);

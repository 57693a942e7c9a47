/* SPDX-License-Identifier: MIT */
/*
 * What is made of a launch that was looked at: while a function is learned, a sample; then heat.
 *
 * A part that is named goes on to be named for a while, so that the launches of such a while are no
 * evidence of their own for how often it will be. Heat is made of the first ones, each of which
 * counts for as many as such a while has on average.
 *
 * Nothing that was sampled is lost: when the rule is found all samples become heat. And no rule is
 * for ever: as long as it is used, launches say how well it foretells their times.
 */
#include "runtime/experts.h"

#include <stdlib.h>
#include "runtime/heat.h"
#include "runtime/log.h"
#include "runtime/residency.h"

enum {
    SAMPLES_MAX = 512, /* of a function */
    ATTEMPTS = 4,
    POINTS = 256, /* launches by which a rule is looked at again */
    POINTS_LEAST = 64,
};

static const double agreed_still = 0.2;

static void note_read(void *context, uint32_t stack, uint32_t block, uint64_t bytes)
{
    struct experts_group *group = context;

    group->stacks[stack].read[block] += bytes;
}

bool experts_is_there(const struct experts_group *group, uint32_t stack)
{
    return group->stacks[stack].range->id == group->key.stacks[stack].range;
}

/* Every part that was read is, for so many launches. */
static void heat_stack(struct experts_stack *stack, double launches)
{
    for (uint32_t i = 0; i < stack->n_blocks; i++) {
        struct block *block = &stack->range->blocks[stack->first + i];

        block->heat = heat_after(block->heat, block->looks++, launches * (double)stack->read[i]);
        stack->read[i] = 0;
    }
}

static void heat_from(struct experts_group *group, const struct indices_sample *sample)
{
    struct experts_family *family = group->family;
    struct indices_parts named;
    struct indices_parts fresh;

    if (!indices_named(&family->rule, sample, &group->shape, &named))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(named.bits); i++) {
        fresh.bits[i] = named.bits[i] & ~group->named.bits[i];
        family->named += (uint64_t)__builtin_popcountll(named.bits[i]);
        family->arrivals += (uint64_t)__builtin_popcountll(fresh.bits[i]);
    }
    group->named = named;
    indices_touches(&family->rule, &group->shape, &fresh, note_read, group);
    for (uint32_t i = 0; i < group->shape.n_stacks; i++) {
        if (experts_is_there(group, i))
            heat_stack(&group->stacks[i],
                       (double)family->named / (double)max_u64(family->arrivals, 1));
    }
}

static struct experts_group *group_numbered(const struct experts *x,
                                            const struct experts_family *family, uint32_t number)
{
    struct experts_group *group = x->groups;

    while (group && (group->family != family || group->number != number))
        group = group->hh.next;
    return group;
}

static bool learn_rule(const struct experts *x, struct experts_family *family)
{
    struct indices_group *shapes = calloc(family->n_groups, sizeof(*shapes));
    bool known;

    if (!shapes)
        return false;
    for (const struct experts_group *g = x->groups; g; g = g->hh.next) {
        if (g->family == family)
            shapes[g->number] = g->shape;
    }
    known =
        indices_learn(family->samples, family->n_samples, shapes, family->n_groups, &family->rule);
    free(shapes);
    return known;
}

static void try_to_learn(const struct experts *x, struct experts_family *family)
{
    family->attempts++;
    if (learn_rule(x, family)) {
        family->state = EXPERTS_KNOWN;
        log_info("a function looks up %u numbers of %u bytes in stacks of %u parts",
                 family->rule.count, (unsigned int)family->rule.width, family->rule.parts);
        for (uint32_t i = 0; i < family->n_samples; i++)
            heat_from(group_numbered(x, family, family->samples[i].group), &family->samples[i]);
    } else if (family->attempts == ATTEMPTS) {
        family->state = EXPERTS_HOPELESS;
        log_debug("a function reads little, and nothing that it is given says what");
    }
    family->n_samples = 0;
    if (family->state == EXPERTS_LEARNING)
        return;
    free(family->samples);
    family->samples = NULL;
}

static uint32_t samples_wanted(const struct experts_family *family)
{
    return (uint32_t)min_u64(family->n_groups + INDICES_SAMPLES, SAMPLES_MAX);
}

static void learn_from(struct experts *x, struct experts_family *family,
                       const struct indices_sample *sample)
{
    if (!family->samples)
        family->samples = calloc(SAMPLES_MAX, sizeof(*family->samples));
    if (!family->samples || sample->ms < 0)
        return;
    family->samples[family->n_samples++] = *sample;
    if (family->n_samples >= samples_wanted(family))
        try_to_learn(x, family);
}

/* The rule may mean something else by now, or may have been a coincidence. */
static void check_rule(struct experts_family *family, const struct experts_group *group,
                       const struct indices_sample *sample)
{
    bool varied;
    double agreed;

    if (!family->points)
        family->points = calloc(POINTS, sizeof(*family->points));
    if (!family->points || sample->ms < 0 || group->number >= POINTS - POINTS_LEAST)
        return;
    family->points[family->n_points++] = (struct indices_point){
        .group = group->number,
        .bytes = (double)indices_away(&family->rule, sample, &group->shape),
        .ms = (double)sample->ms,
    };
    if (family->n_points < POINTS)
        return;
    agreed = indices_agreement(family->points, POINTS, family->n_groups, &varied);
    family->n_points = 0;
    if (!varied || agreed >= agreed_still)
        return;
    log_debug("a function does not read what it was thought to");
    family->state = family->attempts < ATTEMPTS ? EXPERTS_LEARNING : EXPERTS_HOPELESS;
}

void experts_learn(struct experts *x, struct experts_group *group,
                   const struct indices_sample *sample)
{
    struct experts_family *family = group->family;

    if (family->state == EXPERTS_LEARNING) {
        learn_from(x, family, sample);
    } else if (family->state == EXPERTS_KNOWN) {
        heat_from(group, sample);
        check_rule(family, group, sample);
    }
}

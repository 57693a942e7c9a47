/* SPDX-License-Identifier: MIT */
/*
 * A rule is a buffer, the width of a number, how many parts a stack has, and how many numbers of
 * the buffer count: routers leave all experts there, sorted, of which the first few are used. For
 * every buffer, width and number of parts the samples are gone through once, number by number, so
 * that all counts are tried in one go.
 *
 * Times are compared within groups, so that a stack that takes longer for other reasons, being
 * wholly away for instance, does not speak for any rule that merely gives numbers in range. Of
 * some two thousand rules and 64 samples the best of those that mean nothing explains a third or
 * less of what varies.
 */
#include "runtime/indices.h"

#include <stdlib.h>
#include <string.h>
#include "runtime/util.h"

enum {
    COUNT_MAX = 128,   /* numbers */
    DIVISORS_MAX = 12, /* numbers of parts that are tried for a buffer */
    PAD_MOST = 512,    /* bytes behind the last part */
    PART_UNIT = 16,    /* a part is a multiple of so many bytes when there is padding */
    PADDED_MOST = 1024,
    COUNT_PROMISING = 16, /* numbers that explain something if more of them explain much */
    ODD_SHARE = 8,        /* of the numbers, that may name nothing */
};

static const double agreed_least = 0.5;
static const double agreed_promising = 0.05;

/* What has been seen of one sample so far, going through its numbers. */
struct progress {
    double bytes;
    uint64_t named[INDICES_PARTS_MAX / 64];
};

static const struct indices_source *source_of(const struct indices_sample *sample, uint16_t word)
{
    for (uint32_t i = 0; i < sample->n_sources; i++) {
        if (sample->sources[i].word == word)
            return &sample->sources[i];
    }
    return NULL;
}

/* False when there is no such number. What is negative names nothing, and is told as such. */
static bool number_at(const struct indices_sample *sample, const struct indices_source *source,
                      uint8_t width, uint32_t i, int64_t *out)
{
    int32_t narrow;

    if (!source || (i + 1) * (uint32_t)width > source->bytes)
        return false;
    if (width == sizeof(narrow)) {
        memcpy(&narrow, sample->data + source->at + i * sizeof(narrow), sizeof(narrow));
        *out = narrow;
    } else {
        memcpy(out, sample->data + source->at + i * sizeof(*out), sizeof(*out));
    }
    return true;
}

/* Bytes of a part, 0 when the stack does not have so many. */
static uint64_t part_bytes(const struct indices_stack *stack, uint32_t parts)
{
    uint64_t bytes = stack->bytes / parts;

    if (stack->bytes % parts == 0)
        return bytes;
    bytes -= bytes % PART_UNIT;
    return parts <= PADDED_MOST && stack->bytes - bytes * parts < PAD_MOST ? bytes : 0;
}

static bool name_part(uint64_t *named, int64_t part)
{
    uint64_t bit = (uint64_t)1 << (part % 64);
    bool is_new = !(named[part / 64] & bit);

    named[part / 64] |= bit;
    return is_new;
}

static void touch_part(const struct indices_group *group, uint32_t parts, uint64_t part,
                       indices_touch_fn *touch, void *context)
{
    for (uint32_t i = 0; i < group->n_stacks; i++) {
        const struct indices_stack *stack = &group->stacks[i];
        uint64_t bytes = part_bytes(stack, parts);
        uint64_t at = stack->lead + part * bytes;
        uint64_t end = at + bytes;

        while (at < end) {
            uint64_t block = at / stack->block_bytes;
            uint64_t to = min_u64(end, (block + 1) * stack->block_bytes);

            touch(context, i, (uint32_t)block, to - at);
            at = to;
        }
    }
}

struct away_sum {
    const struct indices_group *group;
    uint64_t bytes;
};

static void add_away(void *context, uint32_t stack, uint32_t block, uint64_t bytes)
{
    struct away_sum *sum = context;

    sum->bytes += sum->group->stacks[stack].away[block] ? bytes : 0;
}

static bool looks_right(const struct indices_rule *rule, const struct indices_sample *sample,
                        const struct indices_source *source)
{
    int64_t number;
    uint32_t n = 0;

    for (uint32_t i = 0; i < rule->count && number_at(sample, source, rule->width, i, &number); i++)
        n += number >= 0 && number < rule->parts;
    return n > 0;
}

bool indices_named(const struct indices_rule *rule, const struct indices_sample *sample,
                   const struct indices_group *group, struct indices_parts *out)
{
    const struct indices_source *source = source_of(sample, rule->word);
    int64_t number;

    for (uint32_t i = 0; i < group->n_stacks; i++) {
        if (!part_bytes(&group->stacks[i], rule->parts))
            return false;
    }
    if (!looks_right(rule, sample, source))
        return false;
    *out = (struct indices_parts){0};
    for (uint32_t i = 0; i < rule->count && number_at(sample, source, rule->width, i, &number);
         i++) {
        if (number >= 0 && number < rule->parts)
            (void)name_part(out->bits, number);
    }
    return true;
}

void indices_touches(const struct indices_rule *rule, const struct indices_group *group,
                     const struct indices_parts *parts, indices_touch_fn *touch, void *context)
{
    for (uint32_t part = 0; part < rule->parts; part++) {
        if (parts->bits[part / 64] >> part % 64 & 1)
            touch_part(group, rule->parts, part, touch, context);
    }
}

uint64_t indices_away(const struct indices_rule *rule, const struct indices_sample *sample,
                      const struct indices_group *group)
{
    struct away_sum sum = {.group = group};
    struct indices_parts parts;

    if (indices_named(rule, sample, group, &parts))
        indices_touches(rule, group, &parts, add_away, &sum);
    return sum.bytes;
}

struct mean {
    double bytes;
    double ms;
    double n;
};

double indices_agreement(const struct indices_point *points, uint32_t n, uint32_t n_groups,
                         bool *out_varied)
{
    struct mean *means = calloc(n_groups + 1, sizeof(*means));
    double bytes2 = 0;
    double ms2 = 0;
    double both = 0;

    *out_varied = false;
    if (!means)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        means[points[i].group].bytes += points[i].bytes;
        means[points[i].group].ms += points[i].ms;
        means[points[i].group].n++;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct mean *mean = &means[points[i].group];
        double bytes = points[i].bytes - mean->bytes / mean->n;
        double ms = points[i].ms - mean->ms / mean->n;

        bytes2 += bytes * bytes;
        ms2 += ms * ms;
        both += bytes * ms;
    }
    free(means);
    *out_varied = bytes2 >= 1;
    return bytes2 >= 1 && ms2 > 0 && both > 0 ? both * both / (bytes2 * ms2) : 0;
}

/* One search. */
struct search {
    const struct indices_sample *samples;
    uint32_t n;
    const struct indices_group *groups;
    uint32_t n_groups;
    struct progress *progress; /* by sample */
    struct indices_point *points;
    struct indices_rule best;
    double agreed;
};

static bool divides_all(const struct search *search, uint32_t parts)
{
    for (uint32_t i = 0; i < search->n_groups; i++) {
        for (uint32_t k = 0; k < search->groups[i].n_stacks; k++) {
            if (!part_bytes(&search->groups[i].stacks[k], parts))
                return false;
        }
    }
    return true;
}

/* Adds the i-th number of every sample. False when too many of them are out of range, or none is
 * left. */
static bool add_numbers(struct search *search, const struct indices_rule *rule, uint32_t i)
{
    uint32_t n = 0;
    uint32_t odd = 0;

    for (uint32_t s = 0; s < search->n; s++) {
        const struct indices_sample *sample = &search->samples[s];
        struct progress *progress = &search->progress[s];
        struct away_sum sum = {.group = &search->groups[sample->group]};
        int64_t number;

        if (!number_at(sample, source_of(sample, rule->word), rule->width, i, &number))
            continue;
        n++;
        odd += number >= rule->parts;
        if (number >= 0 && number < rule->parts && name_part(progress->named, number))
            touch_part(sum.group, rule->parts, (uint64_t)number, add_away, &sum);
        search->points[s].bytes += (double)sum.bytes;
    }
    return n > 0 && odd <= n / ODD_SHARE;
}

static void try_counts(struct search *search, struct indices_rule rule)
{
    double best = 0;

    memset(search->progress, 0, search->n * sizeof(*search->progress));
    for (uint32_t s = 0; s < search->n; s++)
        search->points[s] =
            (struct indices_point){search->samples[s].group, 0, (double)search->samples[s].ms};
    for (uint32_t i = 0; i < COUNT_MAX && add_numbers(search, &rule, i); i++) {
        bool varied;
        double agreed = indices_agreement(search->points, search->n, search->n_groups, &varied);

        best = agreed > best ? agreed : best;
        rule.count = i + 1;
        if (agreed > search->agreed + 1e-6) {
            search->agreed = agreed;
            search->best = rule;
        }
        if (rule.count == COUNT_PROMISING && best < agreed_promising)
            return;
    }
}

static int by_number(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return a < b ? -1 : a > b;
}

/* The largest number that samples begin with, but for some that may be odd; negative when they
 * cannot be numbers. */
static int64_t largest_first(const struct search *search, uint16_t word, uint8_t width)
{
    int64_t *numbers = calloc(search->n, sizeof(*numbers));
    int64_t largest = -1;
    uint32_t n = 0;

    for (uint32_t s = 0; numbers && s < search->n; s++) {
        const struct indices_sample *sample = &search->samples[s];

        n += number_at(sample, source_of(sample, word), width, 0, &numbers[n]);
    }
    if (n == search->n) {
        qsort(numbers, n, sizeof(*numbers), by_number);
        largest = numbers[n - 1 - n / ODD_SHARE];
    }
    free(numbers);
    return largest < INDICES_PARTS_MAX ? largest : -1;
}

static void try_buffer(struct search *search, uint16_t word, uint8_t width)
{
    int64_t largest = largest_first(search, word, width);
    uint32_t tried = 0;

    if (largest < 0)
        return;
    for (uint32_t parts = (uint32_t)max_u64((uint64_t)largest + 1, 2);
         parts < INDICES_PARTS_MAX && tried < DIVISORS_MAX; parts++) {
        if (!divides_all(search, parts))
            continue;
        try_counts(search, (struct indices_rule){.word = word, .width = width, .parts = parts});
        tried++;
    }
}

static bool is_enough(uint32_t n, uint32_t n_groups)
{
    return n >= n_groups + INDICES_SAMPLES;
}

bool indices_learn(const struct indices_sample *samples, uint32_t n,
                   const struct indices_group *groups, uint32_t n_groups, struct indices_rule *out)
{
    struct search search = {.samples = samples, .n = n, .groups = groups, .n_groups = n_groups};

    if (!is_enough(n, n_groups))
        return false;
    search.progress = calloc(n, sizeof(*search.progress));
    search.points = calloc(n, sizeof(*search.points));
    for (uint32_t i = 0; search.progress && search.points && i < samples[0].n_sources; i++) {
        try_buffer(&search, samples[0].sources[i].word, 4);
        try_buffer(&search, samples[0].sources[i].word, 8);
    }
    free(search.progress);
    free(search.points);
    if (search.agreed >= agreed_least)
        *out = search.best;
    return search.agreed >= agreed_least;
}

/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/indices.h"
#include "runtime/util.h"

enum {
    GROUPS = 6,
    PARTS = 16,
    USED = 3,
    SAMPLES = GROUPS * 20,
    BLOCK = 2048,
    PART = 3 * BLOCK / 4,
    BLOCKS = PARTS * PART / BLOCK + 1,
    WORD = 16,  /* of the numbers, */
    OTHER = 24, /* and of something else */
};

static struct indices_group groups[GROUPS];
static uint8_t away[GROUPS][BLOCKS];
static struct indices_sample samples[SAMPLES];

/* A launch's numbers, of so many bytes each, in a buffer that has others behind them. */
struct shape {
    uint8_t width;
    uint32_t behind; /* numbers of which nothing is read */
    bool sorted;     /* all parts are there, of which the first are read */
    double noise_ms;
};

static void make_groups(unsigned int *seed)
{
    for (int g = 0; g < GROUPS; g++) {
        for (int i = 0; i < BLOCKS; i++)
            away[g][i] = rand_r(seed) % 2;
        groups[g] = (struct indices_group){
            .n_stacks = 1,
            .stacks = {{.bytes = PARTS * PART, .lead = 100, .block_bytes = BLOCK, .away = away[g]}},
        };
    }
}

static void put_number(struct indices_sample *sample, uint8_t width, uint32_t at, int64_t number)
{
    int32_t narrow = (int32_t)number;

    if (width == 4)
        memcpy(sample->data + 4 * at, &narrow, 4);
    else
        memcpy(sample->data + 8 * at, &number, 8);
}

static void shuffle(int64_t *numbers, unsigned int *seed)
{
    for (int i = 0; i < PARTS; i++)
        numbers[i] = i;
    for (int i = 0; i < PARTS; i++) {
        int other = i + (int)((unsigned int)rand_r(seed) % (unsigned int)(PARTS - i));
        int64_t number = numbers[i];

        numbers[i] = numbers[other];
        numbers[other] = number;
    }
}

static void make_sample(struct indices_sample *sample, uint32_t group, const struct shape *shape,
                        unsigned int *seed)
{
    struct indices_rule rule = {.word = WORD, .width = shape->width, .parts = PARTS, .count = USED};
    uint32_t n = shape->sorted ? PARTS : USED + shape->behind;
    int64_t numbers[PARTS];

    shuffle(numbers, seed);
    *sample = (struct indices_sample){.group = group, .n_sources = 2};
    sample->sources[0] = (struct indices_source){WORD, (uint16_t)(n * shape->width), 0};
    sample->sources[1] = (struct indices_source){OTHER, 64, 1024};
    for (uint32_t i = 0; i < n; i++)
        put_number(sample, shape->width, i, numbers[i % PARTS]);
    for (uint32_t i = 0; i < 16; i++) {
        int32_t position = (int32_t)((unsigned int)rand_r(seed) % PARTS);

        memcpy(sample->data + 1024 + 4 * i, &position, 4);
    }
    /* Stacks differ in how long they take besides. */
    sample->ms = (float)(group * 3.0 + (double)indices_away(&rule, sample, &groups[group]) / 1e3 +
                         shape->noise_ms * (rand_r(seed) % 1000) / 1e3);
}

static bool learn(const struct shape *shape, unsigned int seed, struct indices_rule *rule)
{
    make_groups(&seed);
    for (uint32_t i = 0; i < SAMPLES; i++)
        make_sample(&samples[i], i % GROUPS, shape, &seed);
    return indices_learn(samples, SAMPLES, groups, GROUPS, rule);
}

static void expect_learned(const struct shape *shape)
{
    for (unsigned int seed = 1; seed <= 5; seed++) {
        struct indices_rule rule;

        cr_assert(learn(shape, seed, &rule), "nothing is learned from seed %u", seed);
        cr_expect_eq(rule.word, WORD);
        cr_expect_eq(rule.width, shape->width);
        cr_expect_eq(rule.parts, PARTS);
        cr_expect_eq(rule.count, USED);
    }
}

Test(indices, finds_which_buffer_says_what_is_read)
{
    expect_learned(&(struct shape){.width = 4});
}

Test(indices, knows_wide_numbers)
{
    expect_learned(&(struct shape){.width = 8});
}

Test(indices, knows_how_many_numbers_count)
{
    expect_learned(&(struct shape){.width = 4, .behind = 5});
    expect_learned(&(struct shape){.width = 4, .sorted = true});
}

Test(indices, bears_times_that_vary_for_other_reasons)
{
    expect_learned(&(struct shape){.width = 4, .noise_ms = 1});
}

Test(indices, believes_nothing_that_does_not_explain_the_times)
{
    for (unsigned int seed = 1; seed <= 20; seed++) {
        struct shape shape = {.width = 4};
        struct indices_rule rule;
        unsigned int dice = seed;

        (void)learn(&shape, seed, &rule);
        for (uint32_t i = 0; i < SAMPLES; i++)
            samples[i].ms = (float)(rand_r(&dice) % 1000);
        cr_expect_not(indices_learn(samples, SAMPLES, groups, GROUPS, &rule), "seed %u", seed);
    }
}

Test(indices, believes_nothing_that_only_tells_stacks_apart)
{
    struct shape shape = {.width = 4};
    struct indices_rule rule;

    /* Half of the stacks are away, the others not: any number in range explains their times. */
    (void)learn(&shape, 1, &rule);
    for (int g = 0; g < GROUPS; g++)
        memset(away[g], g % 2, BLOCKS);
    for (uint32_t i = 0; i < SAMPLES; i++)
        samples[i].ms = (float)(samples[i].group % 2 * 10) + (float)(i % 7) / 100;
    cr_expect_not(indices_learn(samples, SAMPLES, groups, GROUPS, &rule));
}

Test(indices, needs_some_samples)
{
    struct shape shape = {.width = 4};
    struct indices_rule rule;

    (void)learn(&shape, 1, &rule);
    cr_expect_not(indices_learn(samples, GROUPS + INDICES_SAMPLES - 1, groups, GROUPS, &rule));
}

struct reads {
    uint64_t bytes[INDICES_STACKS][BLOCKS];
    uint64_t all;
};

static void note(void *context, uint32_t stack, uint32_t block, uint64_t bytes)
{
    struct reads *reads = context;

    reads->bytes[stack][block] += bytes;
    reads->all += bytes;
}

/* What the sample names is noted. */
static bool touches(const struct indices_rule *rule, const struct indices_sample *sample,
                    struct reads *reads)
{
    struct indices_parts parts;

    if (!indices_named(rule, sample, &groups[0], &parts))
        return false;
    indices_touches(rule, &groups[0], &parts, note, reads);
    return true;
}

Test(indices, a_part_is_read_once_and_where_it_lies)
{
    struct indices_rule rule = {.word = WORD, .width = 4, .parts = PARTS, .count = 8};
    struct indices_sample sample = {.n_sources = 1, .sources = {{WORD, 32, 0}}};
    static const int32_t numbers[8] = {5, 5, -1, 5, PARTS, 1 << 30, 0, 5};
    struct reads reads = {.all = 0};
    unsigned int seed = 1;

    make_groups(&seed);
    memcpy(sample.data, numbers, sizeof(numbers));
    cr_expect(touches(&rule, &sample, &reads));
    cr_expect_eq(reads.all, 2 * PART);
    cr_expect_eq(reads.bytes[0][0], PART, "the first part lies in the first block");
    cr_expect_eq(reads.bytes[0][(100 + 5 * PART) / BLOCK], BLOCK - (100 + 5 * PART) % BLOCK);
}

Test(indices, numbers_that_are_none_touch_nothing)
{
    struct indices_rule rule = {.word = WORD, .width = 4, .parts = PARTS, .count = 8};
    struct indices_sample sample = {.n_sources = 1, .sources = {{WORD, 32, 0}}};
    struct reads reads = {.all = 0};
    unsigned int seed = 1;

    make_groups(&seed);
    memset(sample.data, 0x3f, 32);
    cr_expect_not(touches(&rule, &sample, &reads));
    cr_expect_eq(reads.all, 0);
    rule.word = OTHER;
    cr_expect_not(touches(&rule, &sample, &reads));
}

Test(indices, stacks_that_have_no_such_parts_are_left_alone)
{
    struct indices_rule rule = {.word = WORD, .width = 4, .parts = 2000, .count = 8};
    struct indices_sample sample = {.n_sources = 1, .sources = {{WORD, 32, 0}}};
    struct reads reads = {.all = 0};
    unsigned int seed = 1;

    make_groups(&seed);
    cr_expect_not(touches(&rule, &sample, &reads));
}

/* SPDX-License-Identifier: MIT */
/*
 * An allocator that hands out parts of large allocations blurs what a launch names: how far it does
 * is how many allocations a launch names something of, and how far into them.
 */
#include "tests/gpu/look/look.h"

enum { RANGES_MOST = 16 }; /* and more */

static const struct {
    const char *name;
    uint64_t below;
} places[] = {
    {"at its begin", 1},        {"below 64 KiB", 64 * KIB}, {"below 2 MiB", 2 * MIB},
    {"below 64 MiB", 64 * MIB}, {"below 1 GiB", GIB},       {"further", UINT64_MAX},
};
enum { PLACES = sizeof(places) / sizeof(*places) };

static uint64_t by_ranges[RANGES_MOST + 1];
static uint64_t by_place[PLACES];
static uint64_t words_seen;
static uint64_t captured, unknown;

static void count_place(uint64_t offset)
{
    size_t i = 0;

    while (offset >= places[i].below)
        i++;
    by_place[i]++;
    words_seen++;
}

static bool named_before(const struct driver *drv, const struct launch *launch,
                         const struct redirect *redirect, struct seen *seen)
{
    const struct range *ranges[LOOK_WORDS_MAX];
    struct look_words words;
    size_t n = 0;

    captured += pager_capture_is_open();
    if (!layout_known(launch->layout)) {
        unknown++;
        return false;
    }
    look_words(launch, &words);
    for (size_t i = 0; i < words.n; i++) {
        const struct block *block = residency_block(words.at[i]);
        size_t known = 0;

        if (!block)
            continue;
        count_place(words.at[i] - block->range->base);
        while (known < n && ranges[known] != block->range)
            known++;
        if (known == n)
            ranges[n++] = block->range;
    }
    by_ranges[min_u64(n, RANGES_MOST)]++;
    return false;
}

static void named_print(FILE *out)
{
    fprintf(out, ", \"captured\": %llu, \"unknown\": %llu, \"words\": %llu, \"ranges\": [",
            (unsigned long long)captured, (unsigned long long)unknown,
            (unsigned long long)words_seen);
    for (int i = 0; i <= RANGES_MOST; i++)
        fprintf(out, "%s%llu", i ? ", " : "", (unsigned long long)by_ranges[i]);
    fprintf(out, "], \"offsets\": {");
    for (int i = 0; i < PLACES; i++)
        fprintf(out, "%s\"%s\": %llu", i ? ", " : "", places[i].name,
                (unsigned long long)by_place[i]);
    fprintf(out, "}");
}

const struct look look_named = {
    .name = "named",
    .resident = true,
    .before = named_before,
    .print = named_print,
};

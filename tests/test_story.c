/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include "runtime/story.h"
#include "runtime/util.h"

/* A 10 GiB card of which the program's own small allocations take 1 and the pool 6; 14 are paged,
 * 5 of them resident. */
static const struct story_facts facts = {
    .card_total = 10 * GIB,
    .card_free = 3 * GIB,
    .device_budget = 8 * GIB,
    .host_budget = 20 * GIB,
    .pool_held = 6 * GIB,
    .paged = 14 * GIB,
};

static void check(struct story story, const struct story_facts *of, uint64_t free, uint64_t total)
{
    uint64_t told_free;
    uint64_t told_total;

    story_tell(story, of, &told_free, &told_total);
    cr_assert_eq(told_free, free, "free: %llu MiB", (unsigned long long)(told_free / MIB));
    cr_assert_eq(told_total, total, "total: %llu MiB", (unsigned long long)(told_total / MIB));
}

Test(story, physical_is_the_card_as_it_is)
{
    check((struct story){STORY_PHYSICAL, 0}, &facts, 3 * GIB, 10 * GIB);
}

Test(story, virtual_adds_the_host_budget)
{
    check((struct story){STORY_VIRTUAL, 0}, &facts, 14 * GIB, 30 * GIB);
}

Test(story, a_size_is_told_less_what_is_used)
{
    check((struct story){STORY_FIXED, 24 * GIB}, &facts, 9 * GIB, 24 * GIB);
}

Test(story, free_is_never_negative)
{
    check((struct story){STORY_FIXED, 4 * GIB}, &facts, 0, 4 * GIB);
}

Test(story, free_is_never_more_than_the_total)
{
    struct story_facts idle = {.card_total = GIB, .card_free = GIB, .device_budget = 2 * GIB};

    check((struct story){STORY_VIRTUAL, 0}, &idle, GIB, GIB);
}

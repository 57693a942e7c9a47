/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include "runtime/residency.h"
#include "tests/fake_driver.h"

#define SLOT (4 * MIB)

static void init(void)
{
    fake_driver_init(0);
    residency_reset();
    cr_assert_eq(residency_init(&fake_calls, 64 * SLOT, SLOT, SLOT), 0);
}

TestSuite(residency, .init = init);

static struct range *make(uint64_t bytes)
{
    struct range *range;

    cr_assert_eq(range_take(bytes, 2 * MIB, &range), 0);
    range_publish(range);
    return range;
}

static void put_away(struct range *range, uint32_t block)
{
    atomic_store(&range->blocks[block].tier, TIER_HOST);
    atomic_fetch_add(&range->n_away, 1);
}

Test(residency, finds_a_range_from_any_address_inside_it)
{
    struct range *range = make(2 * SLOT + 100);

    cr_assert_eq(residency_range(range->base), range);
    cr_assert_eq(residency_range(range->base + 2 * SLOT + 99), range);
    cr_assert_null(residency_range(range->base + 2 * SLOT + 100), "that is past its end");
    cr_assert_null(residency_range(range->base - 1));
    cr_assert_null(residency_range(0));
    cr_assert_eq(residency_block(range->base + SLOT)->index, 1);
}

Test(residency, finds_a_range_to_free_by_its_first_byte_only)
{
    struct range *range = make(SLOT);

    cr_assert_eq(residency_range_at(range->base), range);
    cr_assert_null(residency_range_at(range->base + 1));
}

Test(residency, rounds_the_last_block_to_the_granularity_only)
{
    struct range *range = make(SLOT + 1);

    cr_assert_eq(range->n_blocks, 2);
    cr_assert_eq(range->blocks[0].bytes, SLOT);
    cr_assert_eq(range->blocks[1].bytes, 2 * MIB);
    cr_assert_eq(range->mapped_bytes, SLOT + 2 * MIB);
}

Test(residency, forgets_a_range_that_was_given_back_and_uses_its_addresses_again)
{
    struct range *range = make(3 * SLOT);
    uint64_t base = range->base;

    range_retract(range);
    cr_assert_null(residency_range(base), "a retracted range is not the program's any more");
    cr_assert_not_null(residency_block(base), "but its addresses are still ours");
    range_give(range);
    cr_assert_null(residency_block(base));
    cr_assert_eq(make(2 * SLOT)->base, base);
}

Test(residency, an_extent_ends_where_the_next_buffer_was_seen_to_begin)
{
    struct range *range = make(2 * SLOT);

    cr_assert_eq(range_extent(range, range->base + 10), 2 * SLOT - 10);
    range_mark(range, range->base + 5000);
    range_mark(range, range->base + 1000);
    range_mark(range, range->base + 1000);
    cr_assert_eq(range->marks.n, 2);
    cr_assert_eq(range_extent(range, range->base), 1000);
    cr_assert_eq(range_extent(range, range->base + 1000), 4000);
    cr_assert_eq(range_extent(range, range->base + 1001), 3999);
    cr_assert_eq(range_extent(range, range->base + 5000), 2 * SLOT - 5000);
}

Test(residency, many_marks_are_kept_sorted)
{
    struct range *range = make(SLOT);

    for (uint64_t i = 1; i <= 1000; i++)
        range_mark(range, range->base + (i * 7919 % 1009) * 64);
    for (uint32_t i = 1; i < range->marks.n; i++)
        cr_assert_lt(range->marks.at[i - 1], range->marks.at[i]);
    cr_assert_eq(range->marks.n, 1000);
}

Test(residency, a_run_ends_where_the_tier_changes)
{
    struct range *range = make(4 * SLOT);

    cr_assert_eq(residency_run(range->base, 4 * SLOT), 4 * SLOT);
    put_away(range, 1);
    put_away(range, 2);
    cr_assert_eq(residency_run(range->base, 4 * SLOT), SLOT);
    cr_assert_eq(residency_run(range->base + 8, 4), 4);
    cr_assert_eq(residency_run(range->base + SLOT, 4 * SLOT), 2 * SLOT);
    cr_assert_eq(residency_run(range->base + SLOT + 5, 3 * SLOT - 5), 2 * SLOT - 5);
    cr_assert_eq(residency_run(range->base + 3 * SLOT, SLOT), SLOT);
}

Test(residency, a_run_of_foreign_memory_is_all_of_it)
{
    cr_assert_eq(residency_run(12345, 678), 678);
}

Test(residency, recycles_ranges_instead_of_freeing_them)
{
    struct range *range = make(3 * SLOT);

    range_retract(range);
    range_give(range);
    cr_assert_eq(make(4 * SLOT), range, "three and four blocks are of one size class");
}

/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include "runtime/pool.h"
#include "runtime/util.h"
#include "tests/fake_driver.h"

static const CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED};
static struct pool pool;

static void make(enum tier tier, uint64_t budget, uint64_t limit)
{
    fake_driver_init(limit);
    cr_assert_eq(pool_init(&pool, tier, &prop, 0, budget, 2 * MIB, 8 * MIB), 0);
}

static struct chunk *take(uint64_t bytes)
{
    struct chunk *chunk = NULL;

    cr_assert_eq(pool_take(&pool, &fake_calls, bytes, &chunk), 0);
    return chunk;
}

Test(pool, keeps_to_its_budget)
{
    struct chunk *chunk;

    make(TIER_DEVICE, 8 * MIB, GIB);
    take(8 * MIB);
    cr_assert_eq(pool_take(&pool, &fake_calls, 2 * MIB, &chunk), POOL_E_FULL);
    cr_assert_eq(fake.created, 8 * MIB);
}

Test(pool, uses_a_given_chunk_again)
{
    struct chunk *first;

    make(TIER_DEVICE, 16 * MIB, GIB);
    take(4 * MIB);
    first = take(4 * MIB);
    pool_give(&pool, &fake_calls, first);
    cr_assert_eq(take(4 * MIB), first);
}

Test(pool, holds_nothing_when_nothing_is_in_use)
{
    struct chunk *chunks[3];

    make(TIER_HOST, 24 * MIB, GIB);
    for (int i = 0; i < 3; i++)
        chunks[i] = take(8 * MIB);
    for (int i = 0; i < 3; i++)
        pool_give(&pool, &fake_calls, chunks[i]);
    cr_assert_eq(fake.created, 0);
    cr_assert_eq(fake.mappings, 0);
    cr_assert_eq(fake.reserved, 0);
}

Test(pool, gives_up_kept_chunks_of_another_size_for_one_that_is_wanted)
{
    struct chunk *small;

    make(TIER_DEVICE, 8 * MIB, GIB);
    take(4 * MIB);
    small = take(2 * MIB);
    pool_give(&pool, &fake_calls, small);
    cr_assert_eq(pool.kept, 2 * MIB);
    take(4 * MIB);
    cr_assert_eq(pool.kept, 0);
}

Test(pool, is_full_when_the_driver_is_and_recovers_with_it)
{
    struct chunk *chunk;

    make(TIER_DEVICE, 64 * MIB, 4 * MIB);
    take(4 * MIB);
    cr_assert_eq(pool_take(&pool, &fake_calls, 4 * MIB, &chunk), POOL_E_FULL);
    cr_assert_eq(pool_room(&pool), 0, "the budget must follow what the driver gives");
    fake.limit = 64 * MIB;
    pool_forgive(&pool);
    take(4 * MIB);
}

Test(pool, leaves_nothing_behind_when_a_host_chunk_cannot_be_mapped)
{
    struct chunk *chunk;

    make(TIER_HOST, 64 * MIB, GIB);
    fake.fail_maps = 100;
    cr_assert_lt(pool_take(&pool, &fake_calls, 2 * MIB, &chunk), 0);
    cr_assert_eq(fake.created, 0);
    cr_assert_eq(fake.reserved, 0);
    cr_assert_eq(pool.used, 0);
}

Test(pool, maps_again_when_the_driver_is_not_ready_once)
{
    make(TIER_HOST, 64 * MIB, GIB);
    fake.fail_maps = 1;
    cr_assert_neq(take(2 * MIB)->alias, 0);
}

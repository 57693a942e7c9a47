/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include "runtime/space.h"
#include "runtime/util.h"
#include "tests/fake_driver.h"

enum {
    SLOT = 1 << 21,
};

static struct space space;

static void init(void)
{
    fake_driver_init(0);
    cr_assert_eq(space_init(&space, &fake_calls, 8 * SLOT, SLOT, SLOT), 0);
}

static void fini(void)
{
    space_fini(&space, &fake_calls);
    cr_assert_eq(fake.reserved, 0);
}

TestSuite(space, .init = init, .fini = fini);

static CUdeviceptr take(uint64_t n_slots)
{
    CUdeviceptr address = 0;

    cr_assert_eq(space_take(&space, n_slots, &address), 0);
    return address;
}

Test(space, gives_out_what_it_reserved_and_no_more)
{
    CUdeviceptr address;

    cr_assert_eq(take(8), space.base);
    cr_assert_eq(space_take(&space, 1, &address), -ENOSPC);
}

Test(space, joins_neighbours_that_come_back_in_any_order)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        CUdeviceptr at[3] = {take(2), take(3), take(3)};
        static const uint64_t n_slots[3] = {2, 3, 3};

        for (int j = 0; j < 3; j++)
            space_give(&space, at[orders[i][j]], n_slots[orders[i][j]]);
        cr_assert_eq(take(8), space.base, "order %zu left a gap", i);
        space_give(&space, space.base, 8);
    }
}

Test(space, uses_the_lowest_hole_that_is_large_enough)
{
    CUdeviceptr first = take(1);
    CUdeviceptr second = take(2);

    take(1);
    space_give(&space, first, 1);
    cr_assert_eq(take(2), space.base + 4 * SLOT);
    space_give(&space, second, 2);
    cr_assert_eq(take(3), first);
}

Test(space, has_room_for_every_hole_that_can_be)
{
    CUdeviceptr at[8];

    for (int i = 0; i < 8; i++)
        at[i] = take(1);
    for (int i = 0; i < 8; i += 2)
        space_give(&space, at[i], 1);
    cr_assert_leq(space.n_holes, space.capacity);
    cr_assert_eq(space.n_holes, 4);
}

Test(space, settles_for_the_largest_reservation_the_driver_grants)
{
    struct space large;

    cr_assert_eq(space_init(&large, &fake_calls, (uint64_t)1 << 43, SLOT, SLOT), 0);
    cr_assert_eq(large.n_slots * SLOT, (uint64_t)1 << 40);
    space_fini(&large, &fake_calls);
}

/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include "runtime/heat.h"
#include "runtime/util.h"

enum { CHUNK = 1000 };

static struct heat_piece piece(double heat, bool resident)
{
    return (struct heat_piece){.heat = heat, .bytes = CHUNK, .resident = resident};
}

Test(heat, the_average_is_the_plain_mean_at_first)
{
    double heat = 0;

    for (uint32_t i = 0; i < 10; i++)
        heat = heat_after(heat, i, i % 2 ? 100 : 0);
    cr_expect_float_eq(heat, 50, 1e-9);
}

Test(heat, the_average_follows_a_change_in_the_end)
{
    double heat = 0;
    uint32_t passes = 0;

    while (passes < 1000)
        heat = heat_after(heat, passes++, 100);
    while (passes < 1025)
        heat = heat_after(heat, passes++, 0);
    cr_expect(heat > 50, "%g", heat);
    while (passes < 1300)
        heat = heat_after(heat, passes++, 0);
    cr_expect(heat < 1, "%g", heat);
}

Test(heat, the_hottest_that_is_away_changes_places_with_the_coldest_resident)
{
    struct heat_piece pieces[] = {piece(900, true), piece(10, true), piece(500, false),
                                  piece(800, false)};

    cr_expect_eq(heat_swap(pieces, ARRAY_SIZE(pieces), 0, 1), 1);
    cr_expect(pieces[0].resident && !pieces[1].resident);
    cr_expect(!pieces[2].resident && pieces[3].resident);
}

Test(heat, a_small_difference_is_not_worth_a_copy)
{
    struct heat_piece pieces[] = {piece(500, true), piece(501, false)};

    cr_expect_eq(heat_swap(pieces, ARRAY_SIZE(pieces), 0, 10), 0);
    cr_expect(pieces[0].resident && !pieces[1].resident);
}

Test(heat, what_is_hardly_read_does_not_come_even_where_there_is_room)
{
    struct heat_piece pieces[] = {piece(1, false), piece(700, false)};

    cr_expect_eq(heat_swap(pieces, ARRAY_SIZE(pieces), 10 * CHUNK, 10), 1);
    cr_expect(!pieces[0].resident && pieces[1].resident);
}

Test(heat, swaps_end_and_never_take_more_than_there_is)
{
    struct heat_piece pieces[64];
    unsigned int seed = 3;
    uint64_t before = 0;
    uint64_t after = 0;

    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        pieces[i] = piece(rand_r(&seed) % 1000, i % 3 == 0);
        pieces[i].bytes = 500 + (uint64_t)rand_r(&seed) % 500;
        before += pieces[i].resident ? pieces[i].bytes : 0;
    }
    cr_assert_gt(heat_swap(pieces, ARRAY_SIZE(pieces), 1500, 100), 0);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
        after += pieces[i].resident ? pieces[i].bytes : 0;
    cr_expect_leq(after, before + 1500);
    cr_expect_eq(heat_swap(pieces, ARRAY_SIZE(pieces), before + 1500 - after, 100), 0,
                 "a second look finds more to do");
}

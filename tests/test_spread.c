/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include "runtime/spread.h"
#include "runtime/util.h"

enum { N = 200 };

static struct spread_piece pieces[N];

static void fill(unsigned int seed, uint64_t most_bytes)
{
    for (int i = 0; i < N; i++) {
        pieces[i] = (struct spread_piece){
            .bytes = 1 + (uint64_t)rand_r(&seed) % most_bytes,
            .class = rand_r(&seed) % 20 == 0   ? SPREAD_WRITTEN
                     : rand_r(&seed) % 20 == 0 ? SPREAD_AGAIN
                                               : SPREAD_STREAMED,
        };
    }
}

static uint64_t resident_bytes(void)
{
    uint64_t bytes = 0;

    for (int i = 0; i < N; i++)
        bytes += pieces[i].resident ? pieces[i].bytes : 0;
    return bytes;
}

static uint64_t all_bytes(void)
{
    uint64_t bytes = 0;

    for (int i = 0; i < N; i++)
        bytes += pieces[i].bytes;
    return bytes;
}

Test(spread, residents_never_exceed_the_budget_and_leave_little_of_it)
{
    for (unsigned int seed = 1; seed <= 50; seed++) {
        fill(seed, 1 + seed * 7);
        for (uint64_t budget = 0; budget <= all_bytes(); budget += 1 + all_bytes() / 37) {
            uint64_t bytes = spread_residents(pieces, N, budget);

            cr_assert_eq(bytes, resident_bytes());
            cr_assert_leq(bytes, budget);
            cr_assert_gt(bytes + 1 + seed * 7, budget);
        }
    }
}

Test(spread, all_are_resident_when_all_fit)
{
    fill(5, 100);
    cr_expect_eq(spread_residents(pieces, N, all_bytes()), all_bytes());
}

Test(spread, equal_pieces_lie_evenly)
{
    for (uint64_t budget = 1; budget <= N; budget++) {
        uint64_t gap = 0;

        for (int i = 0; i < N; i++)
            pieces[i] = (struct spread_piece){.bytes = 1};
        spread_residents(pieces, N, budget);
        for (int i = 0; i < N; i++) {
            gap = pieces[i].resident ? 0 : gap + 1;
            cr_assert_leq(gap, (N + budget - 1) / budget);
        }
    }
}

Test(spread, what_is_written_comes_first_and_then_what_is_read_most)
{
    for (int i = 0; i < N; i++)
        pieces[i] = (struct spread_piece){.bytes = 10};
    pieces[150].class = SPREAD_WRITTEN;
    pieces[20].class = SPREAD_AGAIN;
    cr_expect_eq(spread_residents(pieces, N, 19), 10);
    cr_expect(pieces[150].resident);
    cr_expect_eq(spread_residents(pieces, N, 20), 20);
    cr_expect(pieces[150].resident && pieces[20].resident);
}

Test(spread, less_of_a_long_buffer_is_away)
{
    enum { LONG = 40, SHORT = 8 };
    uint32_t away_of_long = 0;
    uint32_t most_of_short = 0;

    for (int i = 0; i < N; i++)
        pieces[i] = (struct spread_piece){.bytes = 10, .length = 10 * (i < LONG ? LONG : SHORT)};
    cr_assert_eq(spread_residents(pieces, N, 10 * N / 2), 10 * N / 2);
    for (int i = 0; i < LONG; i++)
        away_of_long += !pieces[i].resident;
    for (int i = LONG; i < N; i += SHORT) {
        uint32_t away = 0;

        for (int k = i; k < i + SHORT; k++)
            away += !pieces[k].resident;
        most_of_short = away > most_of_short ? away : most_of_short;
    }
    cr_expect_leq(away_of_long, LONG * 3 / 8);
    cr_expect_leq(most_of_short, SHORT / 2 + 1);
}

Test(spread, nobody_gives_much_more_for_the_sake_of_a_long_buffer)
{
    uint32_t away = 0;

    for (int i = 0; i < N; i++)
        pieces[i] = (struct spread_piece){.bytes = 10, .length = i < N - 8 ? 10 * (N - 8) : 10};
    spread_residents(pieces, N, 10 * N / 2);
    for (int i = N - 8; i < N; i++)
        away += !pieces[i].resident;
    cr_expect_leq(away, 5);
}

Test(spread, what_is_read_in_every_pass_comes_before_what_is_read_seldom)
{
    uint32_t resident = 0;

    for (int i = 0; i < N; i++)
        pieces[i] =
            (struct spread_piece){.bytes = 10, .class = i % 4 ? SPREAD_STREAMED : SPREAD_SELDOM};
    cr_assert_eq(spread_residents(pieces, N, 10 * (N * 7 / 8)), 10 * (N * 7 / 8));
    for (int i = 0; i < N; i++) {
        cr_expect(pieces[i].resident || i % 4 == 0, "piece %d", i);
        resident += pieces[i].resident && i % 4 == 0 && i < N / 2;
    }
    cr_expect_eq(resident, N / 16, "%u of the first half", resident);
}

static void fill_sparse(bool known)
{
    for (int i = 0; i < N; i++)
        pieces[i] = (struct spread_piece){
            .bytes = 10, .class = SPREAD_SPARSE, .heat = known ? (i * 37) % N + 1 : 0};
}

Test(spread, the_hottest_of_the_sparse_stay)
{
    fill_sparse(true);
    cr_assert_eq(spread_residents(pieces, N, 10 * (N / 4)), 10 * (N / 4));
    for (int i = 0; i < N; i++)
        cr_expect_eq(pieces[i].resident, pieces[i].heat > N - N / 4, "piece %d", i);
}

Test(spread, the_sparse_of_which_nothing_is_known_stay_without_a_pattern)
{
    int alike = 0;

    fill_sparse(false);
    cr_assert_eq(spread_residents(pieces, N, 10 * (N / 2)), 10 * (N / 2));
    for (int i = 0; i + 1 < N; i++)
        alike += pieces[i].resident == pieces[i + 1].resident;
    cr_expect(alike > N / 4 && alike < 3 * N / 4, "%d neighbours are alike", alike);
}

Test(spread, what_is_read_all_the_time_comes_before_the_sparse)
{
    fill_sparse(true);
    for (int i = 0; i < N; i += 2)
        pieces[i].class = SPREAD_STREAMED;
    cr_assert_eq(spread_residents(pieces, N, 10 * (N / 2 + 10)), 10 * (N / 2 + 10));
    for (int i = 0; i < N; i += 2)
        cr_expect(pieces[i].resident);
}

Test(spread, a_ring_has_twice_what_is_read_but_a_share_of_the_budget_or_three_chunks)
{
    static const struct {
        uint64_t read, budget, slots, ring; /* chunks */
    } rows[] = {
        {1, 100, 3, 2}, {3, 100, 3, 6}, {20, 100, 3, 25}, {1, 10, 3, 2},
        {2, 10, 3, 3},  {4, 6, 3, 3},   {4, 4, 3, 2},     {2, 8, 2, 2},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        cr_expect_eq(spread_ring_for(rows[i].read, rows[i].budget * MIB, MIB, rows[i].slots),
                     rows[i].ring * MIB, "row %zu", i);
}

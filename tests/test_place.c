/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "planner/place.h"
#include "runtime/util.h"
#include "tests/dice.h"

enum {
    ROUNDS = 2000,
    PIECES = 60,
};

static size_t throw_pieces(struct place_piece *pieces)
{
    size_t n = 1 + dice(PIECES);
    bool mixture = dice(2);

    for (size_t i = 0; i < n; i++) {
        uint64_t bytes = 1 + dice(64 * MIB);
        uint64_t kind = mixture ? dice(4) : 3;

        pieces[i] = (struct place_piece){.bytes = bytes, .touched = bytes, .dense = kind > 1};
        if (kind == 1)
            pieces[i].touched = bytes / 8;
        if (kind == 0)
            pieces[i].touched = 0;
    }
    return n;
}

static struct place_request throw_request(void)
{
    return (struct place_request){
        .budget = dice(2 * GIB),
        .chunk = (1 + dice(8)) * 2 * MIB,
        .apart = dice(2) * 2 * MIB,
        .compute = (double)dice(1000) * 1e-4,
        .link = (double)(1 + dice(50)) * 1e9,
        .in_place = (double)(1 + dice(30)) * 1e9,
        .may_stream = dice(4) != 0,
        .cache = dice(4) != 0,
        .all_away = dice(8) == 0,
    };
}

static uint64_t taken_by(const struct place_piece *piece, const struct place_request *request)
{
    return request->apart ? align_up(piece->bytes, request->apart) : piece->bytes;
}

static uint64_t bytes_of(const struct place_piece *pieces, size_t n,
                         const struct place_request *request)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += taken_by(&pieces[i], request);
    return bytes;
}

Test(place, never_exceeds_the_budget)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct place_piece pieces[PIECES];
        size_t n = throw_pieces(pieces);
        struct place_request request = throw_request();
        struct placement placement;
        uint64_t device = 0;

        cr_assert_eq(place_pieces(pieces, n, &request, &placement), 0);
        for (size_t i = 0; i < n; i++)
            device += pieces[i].tier == PLACE_DEVICE ? taken_by(&pieces[i], &request) : 0;
        cr_assert_leq(device, placement.device, "round %d", round);
        cr_assert_leq(placement.device + placement.ring, request.budget, "round %d", round);
        cr_assert_eq(placement.device + placement.host, bytes_of(pieces, n, &request), "round %d",
                     round);
    }
}

Test(place, is_never_slower_with_more_memory)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct place_piece pieces[PIECES];
        size_t n = throw_pieces(pieces);
        struct place_request request = throw_request();
        struct placement less, more;

        cr_assert_eq(place_pieces(pieces, n, &request, &less), 0);
        request.budget += 1 + dice(dice(2) ? 1000 : 256 * MIB);
        cr_assert_eq(place_pieces(pieces, n, &request, &more), 0);
        cr_assert(more.fits || !less.fits, "round %d", round);
        if (less.fits)
            cr_assert_leq(more.seconds, less.seconds * (1 + 1e-9), "round %d", round);
    }
}

Test(place, says_the_same_twice)
{
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct place_piece first[PIECES], second[PIECES];
        size_t n = throw_pieces(first);
        struct place_request request = throw_request();
        struct placement a, b;

        for (size_t i = 0; i < n; i++)
            second[i] = first[i];
        cr_assert_eq(place_pieces(first, n, &request, &a), 0);
        cr_assert_eq(place_pieces(second, n, &request, &b), 0);
        cr_assert_eq(place_pieces(second, n, &request, &b), 0);
        for (size_t i = 0; i < n; i++)
            cr_assert_eq(first[i].tier, second[i].tier);
        cr_assert_eq(a.device, b.device);
    }
}

Test(place, leaves_everything_on_a_device_that_holds_it)
{
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct place_piece pieces[PIECES];
        size_t n = throw_pieces(pieces);
        struct place_request request = throw_request();
        struct placement placement;

        request.cache = true;
        request.all_away = false;
        request.budget = bytes_of(pieces, n, &request) + dice(2) * dice(GIB);
        cr_assert_eq(place_pieces(pieces, n, &request, &placement), 0);
        cr_assert_eq(placement.host, 0, "round %d", round);
        cr_assert_eq(placement.ring, 0, "round %d", round);
        cr_assert_float_eq(placement.seconds, request.compute, 1e-12);
    }
}

Test(place, spreads_residents_evenly)
{
    struct place_piece pieces[100];
    struct place_request request = {.budget = 60 * 10 * MIB,
                                    .chunk = 2 * MIB,
                                    .link = 1e9,
                                    .in_place = 1e9,
                                    .may_stream = true,
                                    .cache = true};
    struct placement placement;
    int run = 0;

    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
        pieces[i] = (struct place_piece){10 * MIB, 10 * MIB, .dense = true};
    cr_assert_eq(place_pieces(pieces, ARRAY_SIZE(pieces), &request, &placement), 0);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        run = pieces[i].tier == PLACE_STREAM ? run + 1 : 0;
        cr_assert_leq(run, 2, "streamed pieces are not crowded at %zu", i);
    }
    cr_assert_gt(placement.device, 55 * 10 * MIB);
}

Test(place, keeps_the_experts_that_are_touched_most)
{
    struct place_piece pieces[] = {
        {10 * MIB, 10 * MIB, .dense = true},
        {100 * MIB, 10 * MIB, .expert = true}, /* a tenth */
        {100 * MIB, 50 * MIB, .expert = true}, /* half */
        {100 * MIB, 4 * KIB},                  /* an embedding */
    };
    struct place_request request = {.budget = 120 * MIB,
                                    .chunk = 2 * MIB,
                                    .link = 10e9,
                                    .in_place = 5e9,
                                    .may_stream = true,
                                    .cache = true};
    struct placement placement;

    cr_assert_eq(place_pieces(pieces, ARRAY_SIZE(pieces), &request, &placement), 0);
    cr_expect_eq(pieces[0].tier, PLACE_DEVICE);
    cr_expect_eq(pieces[1].tier, PLACE_INPLACE);
    cr_expect_eq(pieces[2].tier, PLACE_DEVICE);
    cr_expect_eq(pieces[3].tier, PLACE_INPLACE);
}

Test(place, says_how_much_the_ring_lacks)
{
    struct place_piece piece = {64 * MIB, 64 * MIB, .dense = true};
    struct place_request request = {
        .budget = 3 * MIB, .chunk = 2 * MIB, .link = 1e9, .in_place = 1e9, .may_stream = true};
    struct placement placement;

    cr_assert_eq(place_pieces(&piece, 1, &request, &placement), 0);
    cr_expect_not(placement.fits);
    cr_expect_eq(placement.short_by, MIB);
}

Test(place, counts_room_in_what_pieces_take_and_copies_in_what_they_are)
{
    struct place_piece pieces[20];
    struct place_request request = {.budget = 23 * MIB,
                                    .chunk = 2 * MIB,
                                    .apart = 2 * MIB,
                                    .link = 1e9,
                                    .in_place = 1e9,
                                    .may_stream = true,
                                    .cache = true};
    struct placement placement;

    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
        pieces[i] = (struct place_piece){MIB / 2, MIB / 2, .dense = true};
    cr_assert_eq(place_pieces(pieces, ARRAY_SIZE(pieces), &request, &placement), 0);
    cr_expect_eq(placement.held, 22 * MIB, "all whole chunks of the budget are used");
    cr_expect_eq(placement.ring, 4 * MIB);
    cr_expect_eq(placement.streamed, 11 * MIB / 2, "of the 11 that are not among the 9");
    request.apart = 0;
    cr_assert_eq(place_pieces(pieces, ARRAY_SIZE(pieces), &request, &placement), 0);
    cr_expect_eq(placement.held, 10 * MIB, "side by side all have room");
    cr_expect_eq(placement.streamed, 0);
}

Test(place, leaves_what_is_not_paged_where_it_is)
{
    struct place_piece pieces[] = {
        {.bytes = 0, .dense = true},
        {64 * MIB, 64 * MIB, .dense = true},
    };
    struct place_request request = {.budget = 8 * MIB,
                                    .chunk = 2 * MIB,
                                    .apart = 2 * MIB,
                                    .link = 1e9,
                                    .in_place = 1e9,
                                    .may_stream = true};
    struct placement placement;

    cr_assert_eq(place_pieces(pieces, ARRAY_SIZE(pieces), &request, &placement), 0);
    cr_expect_eq(pieces[0].tier, PLACE_DEVICE);
    cr_expect_eq(pieces[1].tier, PLACE_STREAM);
}

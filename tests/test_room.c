/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include "runtime/room.h"
#include "runtime/util.h"

/* 10 GiB, of which 1 is to be left free; the pool has 6 of the 9 it may have. */
static const struct amount leave_one = {.leave_free = true, .value = GIB};
static const struct room_facts facts = {
    .free = 4 * GIB,
    .total = 10 * GIB,
    .held = 6 * GIB,
    .used = 6 * GIB,
    .ceiling = 9 * GIB,
    .share = ROOM_ALL,
};

static void expect(struct room_facts given, uint64_t ceiling, uint64_t evict, bool more)
{
    struct room_choice choice = room_choose(leave_one, &given);

    cr_expect_eq(choice.ceiling, ceiling, "%llu MiB", (unsigned long long)(choice.ceiling / MIB));
    cr_expect_eq(choice.evict, evict, "%llu MiB", (unsigned long long)(choice.evict / MIB));
    cr_expect_eq(choice.more, more);
}

Test(room, stays_as_it_is_while_nobody_else_takes_any)
{
    expect(facts, 9 * GIB, 0, false);
}

Test(room, what_others_take_cannot_be_had_any_more)
{
    struct room_facts given = facts;

    given.free = 2 * GIB;
    expect(given, 7 * GIB, 0, false);
}

Test(room, homes_go_when_less_is_free_than_was_to_be_left)
{
    struct room_facts given = facts;

    given.free = 256 * MIB;
    expect(given, 5 * GIB + 256 * MIB, 768 * MIB, false);
    given.free = 0;
    given.held = given.used = 512 * MIB;
    expect(given, 0, 512 * MIB, false);
}

Test(room, what_others_give_back_may_be_used)
{
    struct room_facts given = facts;

    given.ceiling = 5 * GIB;
    expect(given, 9 * GIB, 0, true);
}

Test(room, a_little_more_changes_nothing)
{
    struct room_facts given = facts;

    given.ceiling = 9 * GIB - 256 * MIB;
    expect(given, 9 * GIB - 256 * MIB, 0, false);
}

Test(room, in_company_homes_go_that_are_more_than_a_share)
{
    struct room_facts given = facts;

    given.share = 4 * GIB;
    expect(given, 4 * GIB, 2 * GIB, false);
}

Test(room, a_little_more_than_a_share_stays)
{
    struct room_facts given = facts;

    given.share = 6 * GIB - 256 * MIB;
    expect(given, 6 * GIB, 0, false);
}

Test(room, a_share_that_is_not_free_yet_cannot_be_had_yet)
{
    struct room_facts given = facts;

    given.free = 2 * GIB;
    given.held = given.used = given.ceiling = 0;
    given.share = 4 * GIB;
    expect(given, GIB, 0, true);
}

/* Of 12 GiB. */
static const struct {
    const char *who;
    uint64_t wanted;
    struct company_claim others[3];
    size_t n;
    uint64_t share;
} shares[] = {
    {"alone", 20 * GIB, {{0}}, 0, 12 * GIB},
    {"two who want more", 20 * GIB, {{0, 30 * GIB}}, 1, 6 * GIB},
    {"four who want more", 20 * GIB, {{0, 30 * GIB}, {0, 9 * GIB}, {0, 8 * GIB}}, 3, 3 * GIB},
    {"beside one who wants little", 20 * GIB, {{0, 2 * GIB}}, 1, 10 * GIB},
    {"beside two who want little", 20 * GIB, {{0, 2 * GIB}, {0, GIB}}, 2, 9 * GIB},
    {"beside little, more and much",
     20 * GIB,
     {{0, GIB}, {0, 4 * GIB}, {0, 9 * GIB}},
     3,
     11 * GIB / 3},
    {"who wants little", 2 * GIB, {{0, 30 * GIB}}, 1, ROOM_ALL},
    {"where there is enough for all", 5 * GIB, {{0, 3 * GIB}, {0, 4 * GIB}}, 2, ROOM_ALL},
};

Test(room, what_not_everybody_can_have_is_shared_evenly)
{
    for (size_t i = 0; i < ARRAY_SIZE(shares); i++)
        cr_expect_eq(room_share(12 * GIB, shares[i].wanted, shares[i].others, shares[i].n),
                     shares[i].share, "%s", shares[i].who);
}

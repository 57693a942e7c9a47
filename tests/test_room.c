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

/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include "runtime/pass.h"

static struct pass_learner learner;
static struct pass pass;

static void start(void)
{
    pass_learner_init(&learner);
}

static void stop(void)
{
    pass_learner_fini(&learner);
    pass_fini(&pass);
}

TestSuite(pass, .init = start, .fini = stop);

static void launch(uint64_t key)
{
    pass_learner_step(&learner);
    pass_learner_touch(&learner, key);
}

/* `rounds` times the keys 1..n, each by `launches` launches that all touch key 1000 as well. */
static void read_model(uint64_t n, int rounds, int launches)
{
    for (int round = 0; round < rounds; round++) {
        for (uint64_t key = 1; key <= n; key++) {
            for (int i = 0; i < launches; i++) {
                launch(key);
                pass_learner_touch(&learner, 1000);
            }
        }
    }
}

static void follow_from(uint64_t n)
{
    read_model(n, 3, 1);
    cr_assert(pass_learner_knows(&learner));
    cr_assert_eq(pass_init(&pass, &learner, (uint32_t)learner.period), 0);
}

Test(pass, nothing_is_known_of_a_first_reading)
{
    read_model(100, 1, 3);
    cr_expect_not(pass_learner_knows(&learner));
}

Test(pass, a_quarter_of_the_second_reading_is_enough)
{
    read_model(100, 1, 3);
    for (uint64_t key = 1; key <= 26; key++)
        launch(key);
    cr_expect(pass_learner_knows(&learner));
    cr_expect_eq(learner.period, 100);
}

Test(pass, many_launches_on_one_piece_are_one_visit)
{
    read_model(50, 4, 7);
    cr_assert(pass_learner_knows(&learner));
    cr_expect_eq(learner.period, 50);
}

Test(pass, what_every_launch_touches_is_visited_once)
{
    read_model(20, 3, 2);
    cr_expect_eq(learner.n, 20 * 3 + 1);
}

Test(pass, a_piece_that_is_read_twice_in_a_pass_is_no_obstacle)
{
    for (int round = 0; round < 3; round++) {
        launch(500);
        for (uint64_t key = 1; key <= 40; key++)
            launch(key);
        launch(500);
        for (uint64_t key = 41; key <= 60; key++)
            launch(key);
    }
    cr_assert(pass_learner_knows(&learner));
    cr_expect_eq(learner.period, 62);
    cr_assert_eq(pass_init(&pass, &learner, (uint32_t)learner.period), 0);
    cr_expect_eq(pass_find(&pass, 500)->n_at, 2);
    cr_expect_eq(pass_find(&pass, 41)->n_at, 1);
}

/* The nth launch of layers of seven weights, four of which share a piece of the cache. */
static void read_layers(uint64_t n)
{
    uint64_t layer = n / 8 % 24;

    launch(n % 8 == 7 ? 1 + layer / 4 : 100 + 7 * layer + n % 8);
}

Test(pass, a_piece_that_several_layers_share_is_not_taken_for_the_pass)
{
    uint64_t n = 0;

    while (!pass_learner_knows(&learner) && n < 400)
        read_layers(n++);
    cr_expect_geq(n, 24 * 8, "already after %lu launches", (unsigned long)n);
    cr_expect_leq(n, 36 * 8, "not after %lu launches", (unsigned long)n);
    cr_expect_eq(learner.period, 24 * 8);
}

/* Two layers after each other share one: it is back six visits before the pass is over. */
Test(pass, a_distance_that_is_near_does_not_lead_away_from_the_others)
{
    for (uint64_t n = 0; n < 2 * 162; n++) {
        uint64_t layer = n / 6 % 27;

        launch(n % 6 == 5 ? 1 + layer / 2 : 100 + 5 * layer + n % 6);
    }
    cr_expect(pass_learner_knows(&learner));
    cr_expect_eq(learner.period, 162);
}

Test(pass, a_change_of_what_is_read_is_learned_anew)
{
    read_model(100, 5, 1);
    for (int round = 0; round < 4; round++) {
        for (uint64_t key = 2001; key <= 2030; key++)
            launch(key);
    }
    cr_assert(pass_learner_knows(&learner));
    cr_expect_eq(learner.period, 30);
}

Test(pass, a_random_order_is_despaired_of)
{
    unsigned int seed = 7;

    while (!pass_learner_despairs(&learner)) {
        launch((uint64_t)rand_r(&seed) % 200);
        cr_assert_not(pass_learner_knows(&learner), "after %lu visits", (unsigned long)learner.n);
    }
}

Test(pass, memory_that_is_new_every_time_is_despaired_of)
{
    uint64_t key = 1;

    while (!pass_learner_despairs(&learner)) {
        launch(key++);
        cr_assert_lt(key, 1 << 19);
    }
}

Test(pass, some_launches_left_out_are_no_obstacle)
{
    unsigned int seed = 3;

    for (int round = 0; round < 4; round++) {
        for (uint64_t key = 1; key <= 200; key++) {
            if (rand_r(&seed) % 100)
                launch(key);
        }
    }
    cr_expect(pass_learner_knows(&learner));
}

Test(pass, there_is_no_following_nothing)
{
    cr_expect_eq(pass_init(&pass, &learner, 0), -ENODATA);
    read_model(30, 1, 1);
    cr_expect_eq(pass_init(&pass, &learner, 0), -ENODATA);
}

Test(pass, the_follower_goes_along)
{
    follow_from(30);
    for (uint64_t key = 1; key <= 30; key++) {
        cr_expect_eq(pass_touch(&pass, key), PASS_MOVES);
        cr_expect_eq(pass.visits[pass.at].key, key);
        cr_expect_eq(pass_touch(&pass, key), PASS_STAYS);
    }
    cr_expect_eq(pass.laps, 1);
    cr_expect_eq(pass.jumps, 0);
}

Test(pass, the_follower_skips_what_is_left_out)
{
    follow_from(30);
    cr_expect_eq(pass_touch(&pass, 1), PASS_MOVES);
    cr_expect_eq(pass_touch(&pass, 3), PASS_MOVES);
    cr_expect_eq(pass.visits[pass.at].key, 3);
}

Test(pass, the_follower_tells_a_jump_and_what_is_foreign)
{
    follow_from(30);
    cr_expect_eq(pass_touch(&pass, 1), PASS_MOVES);
    cr_expect_eq(pass_touch(&pass, 20), PASS_JUMPS);
    cr_expect_eq(pass_touch(&pass, 21), PASS_MOVES);
    cr_expect_eq(pass_touch(&pass, 4444), PASS_FOREIGN);
    cr_expect_eq(pass.jumps, 1);
    cr_expect_eq(pass.foreign, 1);
}

Test(pass, a_visit_lasts_as_long_as_it_was_seen_to_last)
{
    /* Key 10 is still touched while 11 to 17 are visited, with launches between. */
    for (int round = 0; round < 3; round++) {
        for (uint64_t key = 1; key <= 40; key++) {
            launch(key);
            if (key == 12 || key == 15 || key == 17)
                launch(10);
        }
    }
    cr_assert_eq(pass_init(&pass, &learner, (uint32_t)learner.period), 0);
    cr_expect_eq(pass.visits[pass_find(&pass, 10)->at].until, 7);
    cr_expect_eq(pass.visits[pass_find(&pass, 9)->at].until, 0);
}

Test(pass, the_longest_memory_is_bounded)
{
    for (uint64_t key = 1; key <= 600000; key++)
        launch(key);
    cr_expect_leq(learner.capacity, 1 << 18);
    cr_expect_eq(learner.trace[learner.n - 1 - learner.first].key, 600000);
}

/* Follows keys 1..30, beside which 101..110 are read now and then. */
static void follow_with_side(void)
{
    struct pass_learner side;

    follow_from(30);
    pass_learner_init(&side);
    for (uint64_t key = 101; key <= 110; key++) {
        pass_learner_step(&side);
        pass_learner_touch(&side, key);
    }
    cr_assert_eq(pass_append(&pass, &side), 0);
    pass_learner_fini(&side);
}

static void touch_all(uint64_t first, uint64_t last)
{
    for (uint64_t key = first; key <= last; key++)
        cr_expect_eq(pass_touch(&pass, key), PASS_MOVES, "key %lu", (unsigned long)key);
}

Test(pass, what_is_read_beside_it_becomes_a_phase)
{
    follow_with_side();
    cr_expect_eq(pass.n_phases, 2);
    cr_expect_eq(pass.n, 40);
    touch_all(1, 30);
    touch_all(101, 110);
    cr_expect_eq(pass.phase, 1);
    touch_all(1, 30);
    cr_expect_eq(pass.phase, 0);
    cr_expect_eq(pass.jumps, 0);
    cr_expect_eq(pass.entries, 2);
}

Test(pass, positions_only_grow)
{
    uint64_t before;

    follow_with_side();
    before = pass_position(&pass);
    for (uint64_t i = 0; i < 400; i++) {
        (void)pass_touch(&pass, i * 7 % 13 < 9 ? 1 + i * 11 % 30 : 101 + i % 10);
        cr_assert_geq(pass_position(&pass), before, "after %lu", (unsigned long)i);
        before = pass_position(&pass);
    }
}

Test(pass, it_is_known_after_how_many_laps_another_phase_came)
{
    follow_with_side();
    touch_all(101, 110);
    for (int laps = 0; laps < 5; laps++)
        touch_all(1, 30);
    touch_all(101, 110);
    cr_expect_eq(pass.last_run, 5);
    cr_expect_eq(pass.side, 1);
}

Test(pass, there_is_an_end_to_phases)
{
    struct pass_learner side;
    uint64_t key = 1000;
    int r = 0;

    follow_from(30);
    pass_learner_init(&side);
    cr_expect_eq(pass_append(&pass, &side), -ENODATA);
    while (r == 0 && key < 1000 + 2 * PASS_PHASES) {
        pass_learner_fini(&side);
        pass_learner_touch(&side, key++);
        r = pass_append(&pass, &side);
    }
    pass_learner_fini(&side);
    cr_expect_eq(r, -ENOSPC);
    cr_expect_eq(pass.n_phases, PASS_PHASES);
}

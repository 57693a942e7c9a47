/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include "runtime/evict.h"
#include "runtime/util.h"

Test(evict, takes_the_least_recently_used_first)
{
    struct evict_candidate candidates[] = {
        {.last_use = 9, .bytes = 4}, {.last_use = 1, .bytes = 4}, {.last_use = 5, .bytes = 4}};

    cr_assert_eq(evict_choose(candidates, 3, 8), 2);
    cr_assert_eq(candidates[0].last_use, 1);
    cr_assert_eq(candidates[1].last_use, 5);
}

Test(evict, stops_as_soon_as_the_bytes_are_reached)
{
    struct evict_candidate candidates[] = {{.last_use = 1, .bytes = 4},
                                           {.last_use = 2, .bytes = 4}};

    cr_assert_eq(evict_choose(candidates, 2, 1), 1);
    cr_assert_eq(evict_choose(candidates, 2, 4), 1);
    cr_assert_eq(evict_choose(candidates, 2, 5), 2);
}

Test(evict, offers_all_it_has_when_that_is_not_enough)
{
    struct evict_candidate candidates[] = {{.last_use = 1, .bytes = 4},
                                           {.last_use = 2, .bytes = 4}};

    cr_assert_eq(evict_choose(candidates, 2, 100), 2);
}

Test(evict, gives_up_nothing_for_nothing)
{
    struct evict_candidate candidate = {.last_use = 1, .bytes = 4};

    cr_assert_eq(evict_choose(&candidate, 1, 0), 0);
    cr_assert_eq(evict_choose(NULL, 0, 8), 0);
}

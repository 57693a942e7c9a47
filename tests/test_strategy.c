/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/allocation.h"
#include "planner/change.h"
#include "planner/preset.h"
#include "planner/stay.h"
#include "planner/strategy.h"
#include "runtime/util.h"
#include "tests/dice.h"

enum {
    ROUNDS = 200,
    MANY_ROUNDS = 2000,
};

static struct subject subject;
static struct arch arch;
static struct strategy_case given;

static void give_host(uint64_t bytes)
{
    given.machine.host = bytes;
    if (given.machine.pinned_share > 0)
        given.machine.pinned = (uint64_t)((double)bytes * given.machine.pinned_share);
}

/* A mixture of experts and a machine, both by chance. */
static void throw_case(void)
{
    struct workload work = WORKLOAD_DEFAULT;
    struct measured measured = {.cache = dice(2) * dice(2 * GIB)};
    struct subject_moe moe = {.parameters = 1e9 * (double)(1 + dice(100)),
                              .n_experts = 2 + (uint32_t)dice(127),
                              .n_used = 1,
                              .bits = 4.5 + (double)dice(12)};

    moe.active = moe.parameters * (0.1 + 0.9 / moe.n_experts);
    work.context = 256 * (1 + dice(1024));
    given = (struct strategy_case){
        /* So much that the chunk is not shrunk, which makes the ring grow by steps. */
        .machine = {.has_card = true,
                    .device = 256 * MIB + dice(48 * GIB),
                    .host = 64 * GIB,
                    .pinned = dice(64 * GIB),
                    .disk = dice(256 * GIB),
                    .driver = 500 * MIB,
                    .device_rate = 500e9,
                    .flops = 60e12,
                    .launch = 2e-6,
                    .link_rate = 25e9,
                    .in_place_rate = 15e9,
                    .pageable_rate = 10e9,
                    .ram_rate = 40e9,
                    .disk_rate = 3e9,
                    .speed_error = 0.35},
        .subject = &subject,
        .engine = engine_row_at(dice(9)),
        .chunk = 16 * MIB,
    };
    if (dice(2)) {
        given.machine.pinned_share = 0.75;
        give_host(dice(64 * GIB));
    }
    cr_assert_eq(subject_imagine(&subject, &moe, &arch, &work, &measured), 0);
}

/* Somebody wants some of it here, or there. */
static void throw_pins(int round)
{
    subject.n_pins = 1;
    for (size_t i = 0; i < subject.n_pieces; i++) {
        size_t throw = (i + 1) * (size_t)(round + 7) * 2654435761u >> 16;

        if (throw % (size_t)(round % 20 + 2) == 0)
            subject.pieces[i].pin = throw % 3 ? PLACE_ON_HOST : PLACE_ON_DEVICE;
    }
}

/* Options as change_find() writes them. What is pinned is never more than there is. */
static void apply(const char *change)
{
    char text[64];
    char *rest = text;
    const char *option;

    snprintf(text, sizeof(text), "%s", change);
    while ((option = strsep(&rest, " "))) {
        const char *value = strsep(&rest, " ");
        struct workload work = subject.work;

        cr_assert_not_null(value, "%s", change);
        if (!strcmp(option, "--vram"))
            given.machine.device = strtoull(value, NULL, 10) * MIB;
        else if (!strcmp(option, "--pinned"))
            given.machine.pinned = strtoull(value, NULL, 10) * MIB;
        else if (!strcmp(option, "--ram"))
            give_host(strtoull(value, NULL, 10) * MIB);
        else if (!strcmp(option, "--disk"))
            given.machine.disk = strtoull(value, NULL, 10) * MIB;
        else if (!strcmp(option, "--ctx"))
            work.context = strtoull(value, NULL, 10);
        else if (!strcmp(option, "--kv"))
            work.keys = work.values = kv_type_find(value);
        else
            cr_assert_fail("%s is no option of a change", option);
        subject_judge(&subject, &work);
    }
    given.machine.pinned = min_u64(given.machine.pinned, given.machine.host);
}

Test(strategy, says_for_each_that_does_not_fit_what_would_and_is_right)
{
    int n_changes = 0;

    for (int round = 0; round < ROUNDS; round++) {
        throw_case();
        if (round % 2)
            throw_pins(round);
        for (size_t row = 0; row < strategy_count(); row++) {
            struct strategy_case before = given;
            struct workload work = subject.work;
            struct strategy_result result, changed;

            cr_assert_eq(strategy_judge(&given, row, &result), 0);
            if (!result.applies || result.fits)
                continue;
            cr_assert_eq(change_find(&given, row, &result), 0);
            cr_assert_gt(result.short_by, 0, "%s", result.name);
            cr_assert_neq(result.change[0], '\0', "round %d: %s", round, result.name);
            apply(result.change);
            cr_assert_eq(strategy_judge(&given, row, &changed), 0);
            cr_assert(changed.fits, "round %d: %s with %s", round, result.name, result.change);
            given = before;
            subject_judge(&subject, &work);
            n_changes++;
        }
        subject_fini(&subject);
    }
    cr_expect_gt(n_changes, ROUNDS);
}

/* The row's answer, which so much more memory must not make slower; whether there is any. */
static bool judge_with_more(size_t row, uint64_t more, int round, struct strategy_result *out)
{
    struct strategy_result second;

    cr_assert_eq(strategy_judge(&given, row, out), 0);
    given.machine.device += more;
    cr_assert_eq(strategy_judge(&given, row, &second), 0);
    given.machine.device -= more;
    if (!out->applies || !out->fits || !second.applies)
        return false;
    cr_assert(second.fits, "round %d: %s", round, out->name);
    cr_assert_leq(second.high, out->high * (1 + 1e-9), "round %d: %s", round, out->name);
    return true;
}

Test(strategy, is_never_slower_with_more_device_memory)
{
    for (int round = 0; round < MANY_ROUNDS; round++) {
        uint64_t more = 1 + dice(8 * GIB);
        struct strategy_result result;

        throw_case();
        if (round % 2)
            throw_pins(round);
        for (size_t row = 0; row < strategy_count(); row++)
            (void)judge_with_more(row, more, round, &result);
        subject_fini(&subject);
    }
}

/* What was thrown, in three phases: a picture's text, its steps and its decoding. */
static void cut_into_phases(void)
{
    struct subject_phase *phases = subject.phases;
    size_t ends[] = {subject.n_pieces / 4, subject.n_pieces - subject.n_pieces / 8,
                     subject.n_pieces};
    size_t at = 0;

    subject.n_phases = ARRAY_SIZE(ends);
    subject.main_phase = 1;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        phases[i] = (struct subject_phase){.name = "part", .first = at, .n = ends[i] - at};
        phases[i].runs = i == 1 ? 1 : 1.0 / (double)(1 + dice(50));
        phases[i].compute = (struct term){dice(64 * MIB), 0};
        for (; at < ends[i]; at++)
            phases[i].bytes += subject.pieces[at].bytes;
    }
}

Test(strategy, in_phases_is_never_slower_with_more_memory_and_takes_no_more_than_there_is)
{
    int n_fits = 0;

    for (int round = 0; round < MANY_ROUNDS; round++) {
        uint64_t more = 1 + dice(2 * GIB);

        throw_case();
        cut_into_phases();
        if (round % 2)
            throw_pins(round);
        for (size_t row = 0; row < strategy_count(); row++) {
            struct strategy_result result;

            if (!judge_with_more(row, more, round, &result))
                continue;
            cr_assert_leq(result.peak, given.machine.device + given.machine.driver, "%s",
                          result.name);
            n_fits++;
        }
        subject_fini(&subject);
    }
    cr_expect_gt(n_fits, ROUNDS);
}

Test(strategy, takes_no_more_than_there_is)
{
    for (int round = 0; round < ROUNDS; round++) {
        throw_case();
        if (round % 2)
            throw_pins(round);
        for (size_t row = 0; row < strategy_count(); row++) {
            struct strategy_result result;

            cr_assert_eq(strategy_judge(&given, row, &result), 0);
            if (!result.applies || !result.fits)
                continue;
            cr_assert_leq(result.peak, given.machine.device + given.machine.driver, "%s",
                          result.name);
            cr_assert_leq(result.pinned, given.machine.pinned, "%s", result.name);
            cr_assert_leq(result.host, given.machine.host, "%s", result.name);
            cr_assert_leq(result.disk, given.machine.disk, "%s", result.name);
            cr_assert_lt(result.low, result.high, "%s", result.name);
        }
        subject_fini(&subject);
    }
}

Test(strategy, leaves_what_is_pinned_where_it_is_wanted)
{
    static const char *const ways[] = {"stream",   "experts-cached", "experts-in-place",
                                       "in-place", "stream-blocks",  "stream-all",
                                       "swap",     "swap-encoder"};

    for (int round = 0; round < ROUNDS; round++) {
        struct placement placement;

        throw_case();
        cut_into_phases();
        throw_pins(round);
        for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
            cr_assert_eq(strategy_place(&given, ways[way], &placement), 0);
            for (size_t i = 0; i < subject.n_pieces; i++) {
                const struct place_piece *piece = &subject.pieces[i];

                cr_assert(piece->pin == PLACE_ANYWHERE ||
                              (piece->pin == PLACE_ON_DEVICE) == (piece->tier == PLACE_DEVICE),
                          "%s, round %d: piece %zu", ways[way], round, i);
            }
        }
        subject_fini(&subject);
    }
}

Test(strategy, has_no_more_stay_than_there_is_and_all_of_what_is_pinned_there)
{
    static const char *const ways[] = {"resident", "stream", "experts-cached", "in-place", "swap"};

    for (int round = 0; round < ROUNDS; round++) {
        throw_case();
        cut_into_phases();
        if (round % 2)
            throw_pins(round);
        for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
            uint64_t bytes = 0;

            cr_assert_eq(stay_choose(&given, ways[way]), 0);
            for (size_t i = 0; i < subject.n_pieces; i++) {
                const struct place_piece *piece = &subject.pieces[i];

                cr_assert_leq(piece->resident, piece->bytes);
                cr_assert(piece->tier != PLACE_DEVICE || piece->resident == piece->bytes);
                cr_assert(piece->tier != PLACE_INPLACE || piece->resident == 0);
                cr_assert(piece->pin != PLACE_ON_DEVICE || piece->resident == piece->bytes);
                cr_assert(piece->pin != PLACE_ON_HOST || piece->resident == 0);
                bytes += piece->pin == PLACE_ON_DEVICE ? 0 : piece->resident;
            }
            cr_assert_leq(
                bytes, less_u64(given.machine.device, subject_pinned(&subject, PLACE_ON_DEVICE)));
        }
        subject_fini(&subject);
    }
}

Test(strategy, recommends_what_is_as_fast_as_the_fastest_that_can_be_had)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct strategies all;

        throw_case();
        cr_assert_eq(strategies_judge(&given, &all), 0);
        for (size_t i = 0; i < all.n; i++) {
            const struct strategy_result *r = &all.list[i];

            if (!r->fits || r->kind == STRATEGY_ADVICE)
                continue;
            cr_assert_not_null(all.recommended);
            cr_assert_leq(all.recommended->high, 1.1 * r->high, "%s against %s",
                          all.recommended->name, r->name);
        }
        if (all.recommended)
            cr_assert(all.recommended->kind == STRATEGY_OURS ||
                      all.recommended->kind == STRATEGY_ENGINE);
        subject_fini(&subject);
    }
}

Test(strategy, has_a_row_for_every_name_that_another_program_has_for_one)
{
    static const char *const presets[] = {
#define PRESET(name, strategy, whose) name,
#include "planner/presets.def"
    };

    throw_case();
    for (size_t i = 0; i < ARRAY_SIZE(presets); i++) {
        const char *name = preset_strategy(presets[i]);
        bool found = false;

        cr_assert_not_null(name, "%s", presets[i]);
        for (size_t row = 0; row < strategy_count(); row++) {
            struct strategy_result result;

            cr_assert_eq(strategy_judge(&given, row, &result), 0);
            found |= !strcmp(result.name, name);
        }
        cr_expect(found != !strcmp(name, PRESET_NONE), "%s is %s", presets[i], name);
    }
    cr_expect_null(preset_strategy("layer-streaming"));
    cr_expect_str_eq(preset_nearest("layer-streaming"), "layer_streaming");
    subject_fini(&subject);
}

Test(strategy, says_in_a_word_how_fast_a_way_is_beside_all_on_the_device)
{
    static const struct {
        double times;
        const char *word;
    } cases[] = {{1, "fastest"}, {1.1, "fastest"}, {1.2, "fast"}, {2, "fast"},      {2.1, "medium"},
                 {5, "medium"},  {5.1, "slow"},    {20, "slow"},  {20.1, "slowest"}};
    struct strategies all;

    throw_case();
    given.machine.device = given.machine.pinned = given.machine.host = (uint64_t)1 << 42;
    cr_assert_eq(strategies_judge(&given, &all), 0);
    cr_expect_str_eq(strategies_speed(&all, all.recommended), "fastest");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct strategy_result result = {.fits = true, .high = cases[i].times * all.least};

        cr_expect_str_eq(strategies_speed(&all, &result), cases[i].word, "%g", cases[i].times);
        result.fits = false;
        cr_expect_str_eq(strategies_speed(&all, &result), "");
    }
    subject_fini(&subject);
}

Test(strategy, leaves_a_model_that_fits_alone)
{
    struct strategies all;

    throw_case();
    given.machine.device = given.machine.pinned = given.machine.host = (uint64_t)1 << 42;
    cr_assert_eq(strategies_judge(&given, &all), 0);
    cr_expect_str_eq(all.recommended->name, "resident");
    cr_expect_eq(all.recommended->host, 0);
    subject_fini(&subject);
}

Test(strategy, puts_nothing_into_host_memory_that_is_the_devices_own)
{
    int n_changes = 0;

    for (int round = 0; round < ROUNDS; round++) {
        struct strategies all;

        throw_case();
        given.machine.unified = true;
        cr_assert_eq(strategies_judge(&given, &all), 0);
        for (size_t i = 0; i < all.n; i++) {
            struct strategy_result *r = &all.list[i];

            if (r->fits && r->kind != STRATEGY_ADVICE)
                cr_assert(r->host == 0 || strcmp(all.recommended->name, "resident") == 0,
                          "round %d: %s", round, r->name);
            cr_assert(r->fits || r->lack == LACK_DEVICE || r->lack == LACK_DISK, "%s", r->name);
            n_changes += !r->fits && strncmp(r->change, "--", 2) == 0;
        }
        subject_fini(&subject);
    }
    cr_expect_gt(n_changes, ROUNDS);
}

Test(strategy, counts_what_allocations_are_rounded_to_when_tensors_are_apart)
{
    static const uint64_t kib[] = {576, 576, 576, 320, 576, 100, 1500, 900, 5000};
    struct place_piece pieces[ARRAY_SIZE(kib)];
    const struct tensor *tensors[ARRAY_SIZE(kib)];
    struct subject apart = {.pieces = pieces, .tensors = tensors, .n_pieces = ARRAY_SIZE(kib)};
    struct strategy_case c = {.machine.device = 60 * MIB,
                              .subject = &apart,
                              .chunk = 16 * MIB,
                              .small = MIB,
                              .apart = true};
    uint64_t bytes;

    for (size_t i = 0; i < ARRAY_SIZE(kib); i++) {
        pieces[i] = (struct place_piece){.bytes = kib[i] * KIB, .dense = true};
        apart.bytes += pieces[i].bytes;
    }
    cr_expect_eq(strategy_chunk(&c), 2 * MIB);
    cr_expect_eq(allocation_unit(&c), 2 * MIB);
    cr_assert_eq(allocation_small(&c, &bytes), 0);
    cr_expect_eq(bytes, 4 * MIB, "three and what fits behind them share a page, the rest another");
    cr_expect_eq(allocation_paged(&c), 8 * MIB, "960 KiB and more are a sixty-fourth");
    c.apart = false;
    cr_assert_eq(allocation_small(&c, &bytes), 0);
    cr_expect_eq(bytes, 0);
    cr_expect_eq(allocation_paged(&c), apart.bytes);
}

Test(strategy, takes_no_room_for_what_is_written_when_the_driver_keeps_it)
{
    struct subject writes = {.n_phases = 1, .phases[0].compute.bytes = MIB / 2};
    struct strategy_case c = {
        .machine.device = 256 * MIB, .subject = &writes, .chunk = 16 * MIB, .small = MIB};

    cr_expect_eq(allocation_written(&c, 0), 0);
    writes.phases[0].compute.bytes = 2 * MIB;
    cr_expect_eq(allocation_written(&c, 0), 2 * MIB);
}

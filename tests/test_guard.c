/* SPDX-License-Identifier: MIT */

#include "runtime/digest.h"
#include "runtime/guard.h"
#include "tests/assemble.h"
#include "tests/sim_test.h"

enum {
    SLOTS = 40, /* more than one launch of the kernel looks at */
    BYTES = 64 * KIB,
};

/* The guard calls the simulated driver as it is. */
static struct driver direct(void)
{
    return (struct driver){
        .cuModuleLoadData = cuModuleLoadData,
        .cuModuleGetFunction = cuModuleGetFunction,
        .cuModuleUnload = cuModuleUnload,
        .cuMemAlloc_v2 = cuMemAlloc_v2,
        .cuMemFree_v2 = cuMemFree_v2,
        .cuMemHostAlloc = cuMemHostAlloc,
        .cuMemFreeHost = cuMemFreeHost,
        .cuMemsetD32Async = cuMemsetD32Async,
        .cuLaunchKernel = cuLaunchKernel,
        .cuMemcpyDtoHAsync_v2 = cuMemcpyDtoHAsync_v2,
        .cuMemcpyHtoDAsync_v2 = cuMemcpyHtoDAsync_v2,
        .cuStreamSynchronize = cuStreamSynchronize,
    };
}

/* Slots, each a copy of its home, all of them different. */
struct guarded {
    struct driver drv;
    struct guard guard;
    CUdeviceptr slots;
    CUdeviceptr homes;
    struct guard_entry entries[SLOTS];
};

static uint64_t digest_of(const struct driver *drv, CUdeviceptr at)
{
    struct digest_span span = {.at = at, .bytes = BYTES};
    struct digester digester;

    cr_assert_eq(digester_init(&digester, drv), 0);
    cr_assert_eq(digest_spans(&digester, drv, NULL, &span, 1), 0);
    digester_fini(&digester, drv);
    return span.digest;
}

static void begin(struct guarded *g)
{
    uint64_t digests[SLOTS] = {0};
    uint64_t digest;

    start();
    g->drv = direct();
    cr_assert_eq(guard_init(&g->guard, &g->drv, NULL, SLOTS, SLOTS, digests), 0);
    ok(cuMemAlloc_v2(&g->slots, SLOTS * BYTES));
    ok(cuMemAlloc_v2(&g->homes, SLOTS * BYTES));
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct guard_entry *entry = &g->entries[i];

        *entry = guard_entry(&g->guard, i, SLOTS - 1 - i);
        entry->slot = g->slots + (uint64_t)i * BYTES;
        entry->home = g->homes + (uint64_t)i * BYTES;
        entry->units = BYTES / 16;
        entry->apart = GUARD_APART;
        ok(cuMemsetD8_v2(entry->slot, (unsigned char)(i + 1), BYTES));
        ok(cuMemsetD8_v2(entry->home, (unsigned char)(i + 1), BYTES));
        digest = digest_of(&g->drv, entry->home);
        ok(cuMemcpyHtoD_v2(guard_digest(&g->guard, SLOTS - 1 - i), &digest, sizeof(digest)));
    }
}

static void look(struct guarded *g)
{
    cr_assert_eq(guard_launch(&g->guard, &g->drv, NULL, g->entries, SLOTS), 0);
    ok(cuStreamSynchronize(NULL));
}

static void check(struct guarded *g)
{
    cr_assert_eq(guard_check(&g->guard, &g->drv, NULL, g->entries, SLOTS), 0);
    ok(cuStreamSynchronize(NULL));
}

static void finish(struct guarded *g)
{
    guard_fini(&g->guard, &g->drv, true);
    ok(cuMemFree_v2(g->slots));
    ok(cuMemFree_v2(g->homes));
}

static void expect_flags(const struct guarded *g, uint32_t slot, enum guard_flag flag)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        cr_expect_eq(guard_flag(&g->guard, SLOTS - 1 - i), i == slot ? flag : GUARD_SILENT,
                     "slot %u", i);
}

Test(guard, says_nothing_while_nothing_is_written)
{
    struct guarded g;

    begin(&g);
    for (int i = 0; i < 3; i++)
        look(&g);
    cr_expect_not(guard_noticed(&g.guard));
    expect_flags(&g, SLOTS, GUARD_SILENT);
    finish(&g);
}

Test(guard, takes_home_what_was_written_to_a_copy)
{
    static const uint32_t slots[] = {0, 31, 32, SLOTS - 1};
    struct guarded g;

    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        uint64_t at = slots[i] * (uint64_t)BYTES + BYTES - 4;

        begin(&g);
        look(&g);
        ok(cuMemsetD32_v2(g.slots + at, 0x12345678, 1));
        look(&g);
        cr_expect(guard_noticed(&g.guard));
        expect_flags(&g, slots[i], GUARD_WRITTEN);
        cr_expect_eq(read_word(g.homes + at), 0x12345678);
        cr_expect_eq(digest_of(&g.drv, g.entries[slots[i]].home),
                     digest_of(&g.drv, g.entries[slots[i]].slot));
        finish(&g);
    }
}

/* The host may not have heard of the first time. */
Test(guard, takes_home_what_is_written_again)
{
    struct guarded g;

    begin(&g);
    for (uint32_t i = 1; i < 4; i++) {
        ok(cuMemsetD32_v2(g.slots + 3 * BYTES + 4 * i, i, 1));
        look(&g);
        cr_expect_eq(read_word(g.homes + 3 * BYTES + 4 * i), i);
    }
    expect_flags(&g, 3, GUARD_WRITTEN);
    finish(&g);
}

Test(guard, takes_home_what_is_written_after_the_home_had_changed_and_was_copied_again)
{
    struct guarded g;

    begin(&g);
    ok(cuMemsetD32_v2(g.homes + 3 * BYTES, 7, 1));
    ok(cuMemsetD32_v2(g.slots + 3 * BYTES, 7, 1));
    look(&g);
    expect_flags(&g, 3, GUARD_CHANGED);
    ok(cuMemsetD32_v2(g.slots + 3 * BYTES, 8, 1));
    look(&g);
    cr_expect_eq(read_word(g.homes + 3 * BYTES), 8);
    finish(&g);
}

Test(guard, leaves_a_home_alone_that_was_written_itself)
{
    struct guarded g;

    begin(&g);
    ok(cuMemsetD32_v2(g.homes + 5 * BYTES, 7, 1));
    ok(cuMemsetD32_v2(g.slots + 5 * BYTES, 8, 1));
    look(&g);
    expect_flags(&g, 5, GUARD_CHANGED);
    cr_expect_eq(read_word(g.homes + 5 * BYTES), 7);
    finish(&g);
}

Test(guard, is_not_misled_by_a_sum_that_others_added_to)
{
    struct guarded g;

    begin(&g);
    ok(cuMemsetD32_v2(g.guard.states + 3 * 16, 99, 2));
    for (int i = 0; i < 2; i++)
        look(&g);
    cr_expect_not(guard_noticed(&g.guard));
    finish(&g);
}

Test(guard, finds_a_home_that_was_written_before_its_copy_is_read)
{
    static const uint32_t slots[] = {0, 31, 32, SLOTS - 1};
    struct guarded g;

    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        uint64_t home;

        begin(&g);
        check(&g);
        cr_assert_not(guard_noticed(&g.guard));
        home = g.entries[slots[i]].home;
        ok(cuMemsetD8_v2(home + 3 * 8 * KIB, 0xee, 8 * KIB));
        ok(cuMemsetD8_v2(home + BYTES - 4, 0xdd, 4));
        check(&g);
        expect_flags(&g, slots[i], GUARD_CHANGED);
        cr_expect_eq(digest_of(&g.drv, home), digest_of(&g.drv, g.entries[slots[i]].slot));
        finish(&g);
    }
}

/* Where launches in other streams write to a copy that is read beside that. */
Test(guard, leaves_a_copy_alone_whose_home_is_what_it_was)
{
    struct guarded g;
    uint64_t digest;

    begin(&g);
    ok(cuMemsetD8_v2(g.entries[7].slot, 0xee, BYTES));
    digest = digest_of(&g.drv, g.entries[7].slot);
    check(&g);
    cr_expect_not(guard_noticed(&g.guard));
    cr_expect_eq(digest_of(&g.drv, g.entries[7].slot), digest);
    look(&g);
    expect_flags(&g, 7, GUARD_WRITTEN);
    cr_expect_eq(digest_of(&g.drv, g.entries[7].home), digest);
    finish(&g);
}

Test(guard, compares_every_byte_where_it_is_asked_to_and_once_anything_has_changed)
{
    struct guarded g;

    begin(&g);
    g.entries[3].apart = GUARD_SAMPLE;
    ok(cuMemsetD32_v2(g.entries[3].home + 5000, 1, 1));
    check(&g);
    expect_flags(&g, 3, GUARD_CHANGED);
    cr_expect_eq(read_word(g.entries[3].slot + 5000), 1);
    ok(cuMemsetD32_v2(g.entries[9].home + 60000, 2, 1));
    check(&g);
    cr_expect_eq(read_word(g.entries[9].slot + 60000), 2);
    finish(&g);
}

Test(guard, looks_elsewhere_each_time_so_that_a_word_is_found_at_last)
{
    struct guarded g;
    int checks = 0;

    begin(&g);
    ok(cuMemsetD32_v2(g.entries[11].home + 12344, 1, 1));
    while (!guard_noticed(&g.guard) && checks < 1500) {
        check(&g);
        checks++;
    }
    cr_expect_gt(checks, 1, "one check in a hundred and twenty-eight finds it");
    cr_expect_lt(checks, 1500);
    finish(&g);
}

Test(guard, the_assembler_of_the_toolkit_takes_the_kernel)
{
    must_assemble(guard_kernel_text);
}

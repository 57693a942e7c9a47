/* SPDX-License-Identifier: MIT */

/* Many blocks, in one host thread and in several: what they share and how they wait. */

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/mmu.h"
#include "tests/test_ptx_support.h"

#define BLOCKS  200
#define THREADS 64
#define LANES   (BLOCKS * THREADS)

TestSuite(ptx_grid, .timeout = 120);

static struct ptx_fault fault;
static const unsigned int host_threads[] = {1, 2, 5};

#define EACH_NUMBER_OF_THREADS                                                                     \
    for (unsigned int how_ = 0; how_ < 3 && (fake_threads = host_threads[how_]); how_++)

static enum ptx_outcome run(struct ptx_module *module, unsigned int blocks, unsigned int threads,
                            const uint64_t *params)
{
    return fake_run(module, "k", blocks, threads, 0, &fault, params);
}

/* %r1: index of the thread in the grid; %r2: of the block; %rd1, %rd2: the first two parameters. */
#define START                                                                                      \
    "mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;\n"                          \
    "mad.lo.u32 %r1, %r2, %r3, %r4; ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1];\n"

/* Some work, so that other threads are called before the grid is over. */
#define WORK                                                                                       \
    "mov.u32 %r90, 0; WORK: add.u32 %r90, %r90, 1; setp.lt.u32 %p90, %r90, 60; @%p90 bra WORK;\n"

#define N (uint64_t) LANES
static const struct {
    const char *body; /* all threads change the 64 bits at %rd1 */
    uint64_t before, after;
} sums[] = {
    {"atom.global.add.u32 %r5, [%rd1], 3;", 5, 5 + 3 * N},
    {"red.global.add.u64 [%rd1], 0x100000001;", 1, 1 + 0x100000001 * N},
    {"setp.ne.u32 %p1, %r4, 0; @%p1 red.global.add.u32 [%rd1], 1;", 0, N - BLOCKS},
    {"and.b32 %r5, %r1, 1; mad.wide.u32 %rd3, %r5, 4, %rd1; red.global.add.u32 [%rd3], 1;", 0,
     N / 2 << 32 | N / 2},
    {"red.add.f32 [%rd1], 0f3f800000;", 0, 0x46480000},
    {"red.global.add.f64 [%rd1], 0d3ff0000000000000;", 0, 0x40c9000000000000},
    {"red.global.min.s32 [%rd1], %r1;", 77777, 0},
    {"red.global.max.u32 [%rd1], %r1;", 0, LANES - 1},
    {"atom.global.inc.u32 %r5, [%rd1], 999;", 0, LANES % 1000},
    {"atom.global.dec.u32 %r5, [%rd1], 999;", 0, (1000 - LANES % 1000) % 1000},
    {"and.b32 %r5, %r1, 31; shl.b32 %r5, 1, %r5; red.global.or.b32 [%rd1], %r5;", 0, 0xffffffff},
    {"and.b32 %r5, %r1, 31; shl.b32 %r5, 1, %r5; red.global.xor.b32 [%rd1], %r5;", 0, 0},
    {"and.b32 %r5, %r1, 31; shl.b32 %r5, 1, %r5; not.b32 %r5, %r5;"
     "red.global.and.b32 [%rd1], %r5;",
     0xffffffff, 0},
    /* halves are whole up to 2048: each block adds one to each */
    {"setp.eq.u32 %p1, %r4, 0; @%p1 red.global.add.noftz.f16x2 [%rd1], 0x3c003c00;", 0, 0x5a405a40},
    {"setp.eq.u32 %p1, %r4, 0; mov.b16 %h1, 0x3c00; @%p1 red.global.add.noftz.f16 [%rd1], %h1;", 0,
     0x5a40},
    /* a sum by compare-and-swap */
    {"ld.relaxed.gpu.u32 %r5, [%rd1]; AGAIN: add.u32 %r6, %r5, 7;"
     "atom.global.cas.b32 %r7, [%rd1], %r5, %r6; setp.ne.u32 %p1, %r7, %r5; mov.u32 %r5, %r7;"
     "@%p1 bra AGAIN;",
     0, 7 * N},
    /* what four threads of a block take out and put back is neither lost nor doubled */
    {"setp.ge.u32 %p1, %r4, 4; @%p1 ret;"
     "AGAIN: atom.exch.b64 %rd3, [%rd1], 0; setp.eq.u64 %p1, %rd3, 0; @%p1 bra AGAIN;"
     "add.u64 %rd3, %rd3, 1; st.relaxed.gpu.u64 [%rd1], %rd3;",
     1, 1 + 4 * BLOCKS},
};

Test(ptx_grid, changes_a_word_for_all_blocks_at_once)
{
    EACH_NUMBER_OF_THREADS
    {
        for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
            char body[1024];
            uint64_t at = fake_upload(&sums[i].before, 8);
            struct ptx_module *module;

            snprintf(body, sizeof(body), "%s%s ret;", START WORK, sums[i].body);
            module = fake_load_body(body);
            cr_assert_eq(run(module, BLOCKS, THREADS, (uint64_t[4]){at}), PTX_DONE);
            cr_assert_eq(*(uint64_t *)fake_host(at), sums[i].after, "%u threads, %s: %llx",
                         fake_threads, sums[i].body, *(unsigned long long *)fake_host(at));
            ptx_module_free(module);
            fake_reset();
        }
    }
}

Test(ptx_grid, lets_the_last_block_sum_what_all_have_written)
{
    static const char body[] = START WORK
        "setp.ne.u32 %p1, %r4, 0; mad.wide.u32 %rd3, %r2, 4, %rd1; mul.lo.u32 %r5, %r2, %r2;\n"
        "@!%p1 st.global.u32 [%rd3], %r5; membar.gl; mov.u32 %r6, 0;\n"
        "mov.u32 %r7, %nctaid.x; sub.u32 %r8, %r7, 1; @!%p1 atom.global.inc.u32 %r6, [%rd2], %r8;\n"
        "setp.ne.or.u32 %p2, %r6, %r8, %p1; @%p2 ret;\n"
        "mov.u32 %r9, 0; mov.u32 %r10, 0;\n"
        "SUM: ld.volatile.global.u32 %r11, [%rd1]; add.u32 %r9, %r9, %r11; add.u64 %rd1, %rd1, 4;\n"
        "add.u32 %r10, %r10, 1; setp.lt.u32 %p3, %r10, %r7; @%p3 bra SUM;\n"
        "st.global.u32 [%rd2+8], %r9; ret;";
    struct ptx_module *module = fake_load_body(body);

    EACH_NUMBER_OF_THREADS
    {
        uint64_t out = fake_alloc(4 * BLOCKS);
        uint64_t cell = fake_alloc(16);
        uint32_t sum = 0;

        for (uint32_t i = 0; i < BLOCKS; i++)
            sum += i * i;
        cr_assert_eq(run(module, BLOCKS, THREADS, (uint64_t[4]){out, cell}), PTX_DONE);
        cr_assert_eq(((uint32_t *)fake_host(cell))[2], sum);
        cr_assert_eq(((uint32_t *)fake_host(cell))[0], 0, "the counter is back at zero");
        fake_reset();
    }
    ptx_module_free(module);
}

/* Block i waits for what block i + 1 writes; the last one begins. */
#define CHAIN(load, pause)                                                                         \
    START "mad.wide.u32 %rd3, %r2, 4, %rd1; mov.u32 %r5, %nctaid.x; sub.u32 %r5, %r5, 1;\n"        \
          "setp.ne.u32 %p1, %r4, 0; @%p1 bra MEET; mov.u32 %r6, 0;\n"                              \
          "setp.eq.u32 %p2, %r2, %r5; @%p2 bra TELL;\n"                                            \
          "WAIT: " pause load " %r6, [%rd3+4]; setp.eq.u32 %p3, %r6, 0; @%p3 bra WAIT;\n"          \
          "TELL: add.u32 %r6, %r6, 1; membar.gl; st.volatile.global.u32 [%rd3], %r6;\n"            \
          "MEET: bar.sync 0; ret;"

static const char *const chains[] = {
    CHAIN("ld.volatile.global.u32", ""),
    CHAIN("ld.acquire.gpu.global.u32", "nanosleep.u32 100;"),
};

Test(ptx_grid, begins_a_block_that_another_one_waits_for)
{
    enum { LENGTH = 40 };

    for (size_t chain = 0; chain < sizeof(chains) / sizeof(chains[0]); chain++) {
        struct ptx_module *module = fake_load_body(chains[chain]);
        EACH_NUMBER_OF_THREADS
        {
            uint64_t flags = fake_alloc(4 * LENGTH);
            const uint32_t *got = fake_host(flags);

            cr_assert_eq(run(module, LENGTH, THREADS, (uint64_t[4]){flags}), PTX_DONE);
            for (uint32_t i = 0; i < LENGTH; i++)
                cr_assert_eq(got[i], LENGTH - i, "block %u of chain %zu", i, chain);
            fake_reset();
        }
        ptx_module_free(module);
    }
}

Test(ptx_grid, takes_a_lock_that_another_block_holds)
{
    /* Every thread adds to an ordinary word under a lock; a lane at a time, as lanes spin. */
    static const char body[] = START
        "setp.ne.u32 %p1, %r4, 0; @%p1 ret;\n"
        "mov.u32 %r7, 0; ROUND:\n"
        "LOCK: atom.acquire.gpu.global.cas.b32 %r5, [%rd1], 0, 1; setp.ne.u32 %p2, %r5, 0;\n"
        "@%p2 bra LOCK;\n"
        "ld.volatile.global.u32 %r6, [%rd1+8]; add.u32 %r6, %r6, 1;\n"
        "st.volatile.global.u32 [%rd1+8], %r6; membar.gl; atom.global.exch.b32 %r5, [%rd1], 0;\n"
        "add.u32 %r7, %r7, 1; setp.lt.u32 %p3, %r7, 50; @%p3 bra ROUND; ret;";
    struct ptx_module *module = fake_load_body(body);

    EACH_NUMBER_OF_THREADS
    {
        uint64_t cell = fake_alloc(16);

        cr_assert_eq(run(module, BLOCKS, 32, (uint64_t[4]){cell}), PTX_DONE);
        cr_assert_eq(((uint32_t *)fake_host(cell))[2], 50 * BLOCKS);
        fake_reset();
    }
    ptx_module_free(module);
}

/* As the toolkit makes it: the address of a word is in two registers of the environment. */
#define GRID_SYNC(n)                                                                               \
    "bar.sync 0; @%p1 bra MET" #n ";\n"                                                            \
    "mov.u32 %r80, 1; @%p2 mov.u32 %r80, %r82;\n"                                                  \
    "atom.add.release.gpu.u32 %r83, [%rd80], %r80;\n"                                              \
    "SPIN" #n ": ld.acquire.gpu.u32 %r84, [%rd80]; xor.b32 %r85, %r84, %r83;\n"                    \
    "setp.gt.s32 %p80, %r85, -1; @%p80 bra SPIN" #n ";\n"                                          \
    "MET" #n ": bar.sync 0;\n"
#define GRID_START                                                                                 \
    "mov.u32 %r80, %envreg1; mov.u32 %r81, %envreg2; mov.b64 %rd80, {%r81, %r80};\n"               \
    "add.u64 %rd80, %rd80, 4; setp.ne.u32 %p1, %r4, 0; setp.eq.u32 %p2, %r2, 0;\n"                 \
    "mov.u32 %r86, %nctaid.x; sub.u32 %r82, 0x80000001, %r86;\n"

static const char together[] =
    START GRID_START "mad.wide.u32 %rd3, %r2, 4, %rd1; mov.u32 %r5, 1;\n"
                     "ROUND: @!%p1 st.global.u32 [%rd3], %r5;\n" GRID_SYNC(A)
    /* each sees what its neighbour has just written, and writes only when all have seen */
    "add.u32 %r6, %r2, 1; rem.u32 %r6, %r6, %r86; mad.wide.u32 %rd4, %r6, 4, %rd1;\n"
    "ld.volatile.global.u32 %r7, [%rd4]; setp.ne.u32 %p3, %r7, %r5;\n"
    "@%p3 red.global.add.u32 [%rd2], 1;\n" GRID_SYNC(
        B) "add.u32 %r5, %r5, 1; setp.le.u32 %p4, %r5, 5; @%p4 bra ROUND; ret;";

Test(ptx_grid, has_all_blocks_of_a_cooperative_launch_meet)
{
    struct ptx_module *module = fake_load_body(together);

    fake_cooperative = true;
    EACH_NUMBER_OF_THREADS
    {
        uint64_t words = fake_alloc(4 * 60);
        uint64_t wrong = fake_alloc(4);

        cr_assert_eq(run(module, 60, 128, (uint64_t[4]){words, wrong}), PTX_DONE);
        cr_assert_eq(*(uint32_t *)fake_host(wrong), 0);
        for (uint32_t i = 0; i < 60; i++)
            cr_assert_eq(((uint32_t *)fake_host(words))[i], 5);
        fake_reset();
    }
    ptx_module_free(module);
}

Test(ptx_grid, gives_other_launches_no_place_to_meet)
{
    struct ptx_module *module =
        fake_load_body(START GRID_START "cvt.u32.u64 %r5, %rd80; st.global.u32 [%rd1], %r5;"
                                        "ret;");
    struct ptx_module *guess =
        fake_load_body("mov.u64 %rd80, 0x0500000000000004; ld.u32 %r1, [%rd80]; ret;");
    uint64_t out = fake_alloc(4);

    cr_assert_eq(run(module, 1, 1, (uint64_t[4]){out}), PTX_DONE);
    cr_assert_eq(*(uint32_t *)fake_host(out), 4, "both registers are 0");
    cr_assert_eq(run(guess, 1, 1, (uint64_t[4]){0}), PTX_ILLEGAL_ADDRESS);
    ptx_module_free(module);
    ptx_module_free(guess);
    fake_reset();
}

Test(ptx_grid, runs_blocks_in_order_in_one_thread)
{
    struct ptx_module *module = fake_load_body(START WORK "atom.global.add.u32 %r5, [%rd2], 1;\n"
                                                          "mad.wide.u32 %rd3, %r5, 4, %rd1;\n"
                                                          "st.global.u32 [%rd3], %r2; ret;");
    uint64_t order = fake_alloc(4 * BLOCKS);
    uint64_t ticket = fake_alloc(4);

    cr_assert_eq(run(module, BLOCKS, 1, (uint64_t[4]){order, ticket}), PTX_DONE);
    for (uint32_t i = 0; i < BLOCKS; i++)
        cr_assert_eq(((uint32_t *)fake_host(order))[i], i);
    ptx_module_free(module);
    fake_reset();
}

Test(ptx_grid, counts_the_same_with_any_number_of_threads)
{
    enum { PAGES = 8 };
    /* Blocks go through the pages in turn, each thread 4 bytes of its own. */
    struct ptx_module *module = fake_load_body(
        START WORK "rem.u32 %r5, %r2, 8; mul.wide.u32 %rd3, %r5, 2097152; add.u64 %rd3, %rd3, %rd1;"
                   "mad.wide.u32 %rd3, %r1, 4, %rd3; ld.global.u32 %r6, [%rd3];\n"
                   "add.u32 %r6, %r6, %r1; st.global.u32 [%rd3], %r6;\n"
                   "rem.u32 %r7, %r1, 7; LOOP: sub.u32 %r7, %r7, 1; setp.gt.s32 %p1, %r7, 0;\n"
                   "@%p1 bra LOOP; ret;");
    uint64_t instructions = 0;

    EACH_NUMBER_OF_THREADS
    {
        uint64_t at = fake_alloc(PAGES * SIM_PAGE_BYTES);

        fake_instructions = 0;
        cr_assert_eq(run(module, BLOCKS, THREADS, (uint64_t[4]){at}), PTX_DONE);
        cr_assert_eq(fake_accounted(at), 8 * LANES);
        if (fake_threads == 1)
            instructions = fake_instructions;
        cr_assert_eq(fake_instructions, instructions);
        for (uint32_t i = 0; i < LANES; i++)
            cr_assert_eq(*(uint32_t *)fake_host(at + i / THREADS % PAGES * SIM_PAGE_BYTES + 4 * i),
                         i);
        fake_reset();
    }
    ptx_module_free(module);
}

Test(ptx_grid, stops_all_blocks_when_one_faults)
{
    /* One block touches nothing that is mapped; the others would run for ever. */
    struct ptx_module *module =
        fake_load_body(START WORK "setp.eq.u32 %p1, %r2, 17; @%p1 st.global.u32 [%rd1+4], %r1;\n"
                                  "setp.ge.u32 %p2, %r2, 10;\n"
                                  "LOOP: @%p2 bra LOOP; ret;");

    EACH_NUMBER_OF_THREADS
    {
        cr_assert_eq(run(module, BLOCKS, THREADS, (uint64_t[4]){0x1000}), PTX_ILLEGAL_ADDRESS);
        cr_assert_eq(fault.address, 0x1004);
        cr_assert_eq(fault.block[0], 17);
        cr_assert_eq(fault.thread[0] % 32, 0);
        cr_assert(fault.write);
    }
    ptx_module_free(module);
}

Test(ptx_grid, shows_no_block_what_another_left_in_shared_memory)
{
    struct ptx_module *module = fake_load_body(
        START WORK ".shared .align 4 .b8 box[256]; mov.u32 %r5, box; mad.lo.u32 %r5, %r4, 4, %r5;\n"
                   "ld.shared.u32 %r6, [%r5]; setp.ne.u32 %p1, %r6, 0xcbcbcbcb;\n"
                   "@%p1 red.global.add.u32 [%rd1], 1; st.shared.u32 [%r5], %r1; ret;");

    EACH_NUMBER_OF_THREADS
    {
        uint64_t wrong = fake_alloc(4);

        cr_assert_eq(run(module, BLOCKS, THREADS, (uint64_t[4]){wrong}), PTX_DONE);
        cr_assert_eq(*(uint32_t *)fake_host(wrong), 0);
        fake_reset();
    }
    ptx_module_free(module);
}

/* Launches that come after each other have memory in common. */
Test(ptx_grid, runs_kernels_of_different_shapes_in_turn)
{
    struct ptx_module *modules[] = {
        fake_load_body(START "mad.wide.u32 %rd1, %r1, 4, %rd1; mov.u32 %r5, %nctaid.x;\n"
                             "mad.lo.u32 %r5, %r5, 1000, %r3; st.global.u32 [%rd1], %r5; ret;"),
        fake_load_body(".local .align 8 .b8 own[512]; .shared .align 8 .b8 box[4096];\n" START
                       "mad.wide.u32 %rd1, %r1, 4, %rd1; mov.u32 %r5, %nctaid.x;\n"
                       "mad.lo.u32 %r5, %r5, 1000, %r3; bar.sync 0; st.local.u32 [own+508], %r5;\n"
                       "ld.local.u32 %r6, [own+508]; st.global.u32 [%rd1], %r6; ret;"),
    };

    EACH_NUMBER_OF_THREADS
    {
        for (unsigned int i = 0; i < 60; i++) {
            unsigned int blocks = 1 + i * 7 % 11;
            unsigned int threads = 1 + i * 131 % 500;
            uint64_t out = fake_alloc((size_t)4 * blocks * threads);

            cr_assert_eq(run(modules[i / 2 % 2], blocks, threads, (uint64_t[4]){out}), PTX_DONE);
            for (unsigned int j = 0; j < blocks * threads; j++)
                cr_assert_eq(((uint32_t *)fake_host(out))[j], blocks * 1000 + threads);
            fake_reset();
        }
    }
    ptx_module_free(modules[0]);
    ptx_module_free(modules[1]);
}

static struct ptx_module *shared_module;

static void *launch_many(void *argument)
{
    struct ptx_launch launch = {
        .grid = {BLOCKS, 1, 1}, .block = {THREADS, 1, 1}, .params = argument, .threads = 3};

    for (int i = 0; i < 10; i++) {
        struct ptx_fault none;
        uint64_t instructions = 0;

        if (ptx_kernel_run(ptx_module_kernel(shared_module, "k"), &launch, &none, &instructions))
            return argument;
    }
    return NULL;
}

Test(ptx_grid, serves_several_launching_threads)
{
    uint64_t cell = fake_alloc(4);
    uint64_t params[4] = {cell};
    pthread_t threads[3];

    shared_module = fake_load_body(START WORK "red.global.add.u32 [%rd1], 1; ret;");
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, launch_many, params);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_assert_null(failed);
    }
    cr_assert_eq(*(uint32_t *)fake_host(cell), 30 * LANES);
    ptx_module_free(shared_module);
    fake_reset();
}

Test(ptx_grid, runs_in_the_child_of_a_process_that_had_threads)
{
    uint64_t cell = fake_alloc(4);
    struct ptx_module *module = fake_load_body(START WORK "red.global.add.u32 [%rd1], 1; ret;");
    uint64_t params[4] = {cell};
    int status;
    pid_t child;

    fake_threads = 4;
    cr_assert_eq(run(module, BLOCKS, THREADS, params), PTX_DONE);
    child = fork();
    if (!child) {
#ifdef __SANITIZE_THREAD__
        fake_threads = 1; /* it allows a child no threads of its own */
#endif
        _exit(run(module, BLOCKS, THREADS, params) || *(uint32_t *)fake_host(cell) != 2 * LANES);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    ptx_module_free(module);
    fake_reset();
}

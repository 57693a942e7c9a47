/* SPDX-License-Identifier: MIT */
/* Stacks of which the device chooses what is read: what is read most comes to the card. */
#include "tests/stress/paged.h"

enum {
    LAYERS = 3,
    PARTS = 12,
    PART = 1 << 20,
    HOT = 4,  /* parts of a stack that one phase reads, */
    USED = 2, /* and one launch */
    DENSE = 2 << 20,
    LAYER = DENSE + PARTS * PART,
    WORDS = PART / (64 << 10), /* that a part is known by */
    PHASE = 60,                /* passes: more than it takes to follow */
};

static CUmodule module;
static CUfunction read_function;
static CUfunction look_up_function;
static CUstream stream;
static CUdeviceptr weights;
static CUdeviceptr ids;
static CUdeviceptr sum;
static uint32_t expected;
static uint32_t words[LAYERS][PARTS][WORDS];
static unsigned int seed = 1;

/* look_up(sum, stack, ids): reads the parts that the ids name. */
struct params {
    uint64_t sum;
    uint64_t at;
    uint64_t more;
};
static const size_t offsets[] = {0, 8, 16};
static const size_t sizes[] = {8, 8, 8};

static void add(uint64_t sum_at, uint64_t at, uint64_t bytes)
{
    uint32_t *total = sim_kernel_access(sum_at, 4, 1);

    for (uint64_t i = 0; total && i < bytes; i += 64 * KIB) {
        const uint32_t *word = sim_kernel_access(at + i, 64 * KIB, 0);

        if (!word)
            return;
        *total = *total * 33 + *word;
    }
}

static void look_up_run(const void *params)
{
    const struct params *p = params;
    const int32_t *part = sim_kernel_access(p->more, USED * sizeof(*part), 0);

    for (int i = 0; part && i < USED; i++)
        add(p->sum, p->at + (uint64_t)part[i] * PART, PART);
}

static void read_run(const void *params)
{
    const struct params *p = params;

    add(p->sum, p->at, p->more);
}

static const struct sim_native_kernel look_up_kernel = {"look_up", 3, offsets, sizes, look_up_run};
static const struct sim_native_kernel read_kernel = {"read", 3, offsets, sizes, read_run};

static CUdeviceptr part_at(uint32_t layer, uint32_t part)
{
    return weights + (uint64_t)layer * LAYER + DENSE + (uint64_t)part * PART;
}

static void put_word(uint32_t layer, uint32_t part, uint32_t i, uint32_t value)
{
    words[layer][part][i] = value;
    ok(cuMemcpyHtoD_v2(part_at(layer, part) + (uint64_t)i * 64 * KIB, &value, sizeof(value)));
}

static void start_stacks(const char *vram, const char *ram)
{
    uint32_t zero = 0;

    setenv("VRAMSHIM_ENGINE", "stream", 1);
    setenv("VRAMSHIM_CHUNK", "2MiB", 1);
    setenv("SIM_ORDER", "timed", 1);
    start_paged(vram, ram);
    sim_register_kernel(&look_up_kernel);
    sim_register_kernel(&read_kernel);
    ok(cuModuleLoadData(&module, "SIM-NATIVE"));
    ok(cuModuleGetFunction(&look_up_function, module, "look_up"));
    ok(cuModuleGetFunction(&read_function, module, "read"));
    stream = new_stream();
    weights = alloc(LAYERS * LAYER);
    ids = alloc(256 * LAYERS);
    sum = alloc(256);
    ok(cuMemcpyHtoD_v2(sum, &zero, 4));
    ok(cuMemsetD8_v2(weights, 0, LAYERS * LAYER));
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        for (uint32_t part = 0; part < PARTS; part++) {
            for (uint32_t i = 0; i < WORDS; i++)
                put_word(layer, part, i, (uint32_t)rand_r(&seed));
        }
    }
}

static void launch(CUfunction function, uint64_t at, uint64_t more)
{
    void *params[] = {&sum, &at, &more};

    ok(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
}

/* Two different parts out of the phase's four. */
static void choose(uint32_t layer, uint32_t phase)
{
    uint32_t first = (unsigned int)rand_r(&seed) % HOT;
    uint32_t second = (first + 1 + (unsigned int)rand_r(&seed) % (HOT - 1)) % HOT;
    uint32_t from = (phase * HOT + layer * 2) % PARTS;
    uint32_t parts[USED] = {(from + first) % PARTS, (from + second) % PARTS};

    ok(cuMemcpyHtoD_v2(ids + 256 * (uint64_t)layer, parts, sizeof(parts)));
    for (int k = 0; k < USED; k++) {
        for (uint32_t i = 0; i < WORDS; i++)
            expected = expected * 33 + words[layer][parts[k]][i];
    }
}

static void pass(uint32_t phase)
{
    uint32_t got;

    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        for (uint32_t i = 0; i < DENSE / (64 * KIB); i++)
            expected *= 33;
        choose(layer, phase);
    }
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        launch(read_function, part_at(layer, 0) - DENSE, DENSE);
        launch(look_up_function, part_at(layer, 0), ids + 256 * (uint64_t)layer);
    }
    ok(cuStreamSynchronize(stream));
    ok(cuMemcpyDtoH_v2(&got, sum, 4));
    cr_assert_eq(got, expected);
}

static void passes(uint32_t phase, uint32_t n)
{
    while (n--)
        pass(phase);
}

static void stop_stacks(void)
{
    cr_expect_eq(stats_now().illegal_addresses, 0);
    ok(cuMemFree_v2(weights));
    expect_nothing_paged();
}

TestSuite(experts, .timeout = 120, .fini = stop_paged);

Test(experts, what_is_read_most_comes_to_the_card)
{
    uint64_t in_place;

    start_stacks("24MiB", "256MiB");
    passes(0, PHASE);
    cr_expect_gt(stats_get(chunks_swapped), 0);
    in_place = stats_now().kernel_bytes_host;
    passes(0, 10);
    in_place = stats_now().kernel_bytes_host - in_place;
    cr_expect_lt(in_place, 64 * KIB, "%llu bytes are read over the link",
                 (unsigned long long)in_place);
    stop_stacks();
}

Test(experts, what_was_not_written_is_not_written_back)
{
    uint64_t moved;
    uint64_t swapped;
    uint64_t copied;

    start_stacks("24MiB", "256MiB");
    for (uint32_t i = 0; i < 8; i++)
        passes(i % 2, PHASE);
    moved = stats_get(bytes_to_host);
    copied = stats_now().bytes_to_host;
    swapped = stats_get(chunks_swapped);
    for (uint32_t i = 0; i < 2; i++)
        passes(i % 2, PHASE);
    cr_expect_gt(stats_get(chunks_swapped), swapped);
    cr_expect_gt(stats_get(bytes_to_host), moved, "homes move");
    copied = stats_now().bytes_to_host - copied;
    cr_expect_lt(copied, 64 * KIB, "but not %llu bytes with them", (unsigned long long)copied);
    stop_stacks();
}

Test(experts, what_was_written_on_the_card_is_there_when_it_has_gone)
{
    start_stacks("24MiB", "256MiB");
    passes(0, PHASE);
    passes(1, PHASE);
    passes(0, PHASE);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        for (uint32_t part = 0; part < PARTS; part++)
            put_word(layer, part, part % WORDS, 77 * part);
    }
    passes(1, PHASE);
    passes(0, 10);
    stop_stacks();
}

Test(experts, what_is_kept_in_host_memory_gives_way_to_an_allocation)
{
    CUdeviceptr more;

    start_stacks("24MiB", "36MiB");
    passes(0, PHASE);
    passes(1, PHASE);
    cr_assert_gt(stats_get(shadow_bytes), 0);
    ok(cuMemAlloc_v2(&more, 14 * MIB));
    cr_expect_eq(stats_get(shadow_bytes), 0);
    passes(0, 10);
    ok(cuMemFree_v2(more));
    stop_stacks();
}

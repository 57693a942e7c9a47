/* SPDX-License-Identifier: MIT */
/* A model larger than the card that is read in the same order again and again. */
#include "tests/stress/paged.h"

TestSuite(streaming, .timeout = 120, .fini = stop_paged);

enum { TENSORS = 14, TENSOR = 2 * PAGE, MODEL = TENSORS * TENSOR };

/* read_tensor(sum, at, bytes): adds what it finds in every 64 KiB, and at the end. */
struct read_params {
    uint64_t sum;
    uint64_t at;
    uint64_t bytes;
};
static const size_t read_offsets[] = {0, 8, 16};
static const size_t read_sizes[] = {8, 8, 8};

static void read_run(const void *params)
{
    const struct read_params *p = params;
    uint32_t *sum = sim_kernel_access(p->sum, 4, 1);

    /* It is charged for every byte, and looks at some. */
    for (uint64_t i = 0; sum && i < p->bytes; i += 64 * KIB) {
        const uint32_t *word = sim_kernel_access(p->at + i, 64 * KIB, 0);

        if (!word)
            return;
        *sum = *sum * 33 + *word;
    }
}

/* write_through(array, index, value): writes to where the array's element points. */
struct through_params {
    uint64_t array;
    uint64_t index;
    uint32_t value;
};
static const size_t through_offsets[] = {0, 8, 16};
static const size_t through_sizes[] = {8, 8, 4};

static void through_run(const void *params)
{
    const struct through_params *p = params;
    const uint64_t *element = sim_kernel_access(p->array + 8 * p->index, 8, 0);
    uint32_t *word = element ? sim_kernel_access(*element, 4, 1) : NULL;

    if (word)
        *word = p->value;
}

static const struct sim_native_kernel read_kernel = {"read_tensor", 3, read_offsets, read_sizes,
                                                     read_run};
static const struct sim_native_kernel through_kernel = {"write_through", 3, through_offsets,
                                                        through_sizes, through_run};

struct model {
    struct device_code code;
    CUfunction read;
    CUfunction through;
    CUstream stream;
    CUdeviceptr weights;
    CUdeviceptr sum;
    CUdeviceptr pointers; /* to all tensors, in device memory */
    uint32_t *mirror;     /* one word for each 64 KiB */
    uint32_t expected;
};

static uint32_t *mirror_at(struct model *m, uint64_t offset)
{
    return &m->mirror[offset / (64 * KIB)];
}

static struct model start_model(const char *vram)
{
    struct model m = {.expected = 0};
    uint32_t zero = 0;

    setenv("VRAMSHIM_ENGINE", "stream", 1);
    start_paged(vram, "256MiB");
    m.code = load_code();
    sim_register_kernel(&read_kernel);
    sim_register_kernel(&through_kernel);
    ok(cuModuleLoadData(&m.code.module, "SIM-NATIVE"));
    ok(cuModuleGetFunction(&m.read, m.code.module, "read_tensor"));
    ok(cuModuleGetFunction(&m.through, m.code.module, "write_through"));
    m.stream = new_stream();
    m.weights = alloc(MODEL);
    ok(cuMemAlloc_v2(&m.sum, 256));
    ok(cuMemcpyHtoD_v2(m.sum, &zero, 4));
    ok(cuMemAlloc_v2(&m.pointers, TENSORS * sizeof(uint64_t)));
    for (uint64_t i = 0; i < TENSORS; i++) {
        uint64_t at = m.weights + i * TENSOR;

        ok(cuMemcpyHtoD_v2(m.pointers + i * sizeof(at), &at, sizeof(at)));
    }
    m.mirror = calloc(MODEL / (64 * KIB), sizeof(*m.mirror));
    for (uint64_t i = 0; i < MODEL; i += 64 * KIB) {
        *mirror_at(&m, i) = (uint32_t)(i * 2654435761u + 12345);
        ok(cuMemcpyHtoD_v2(m.weights + i, mirror_at(&m, i), 4));
    }
    return m;
}

static void stop_model(struct model *m)
{
    ok(cuMemFree_v2(m->weights));
    free(m->mirror);
}

static void read_tensor(struct model *m, uint32_t tensor)
{
    CUdeviceptr at = m->weights + (uint64_t)tensor * TENSOR;
    uint64_t bytes = TENSOR;
    void *params[] = {&m->sum, &at, &bytes};

    ok(cuLaunchKernel(m->read, 1, 1, 1, 1, 1, 1, 0, m->stream, params, NULL));
    for (uint64_t i = 0; i < TENSOR; i += 64 * KIB)
        m->expected = m->expected * 33 + *mirror_at(m, (uint64_t)tensor * TENSOR + i);
}

static void expect_sum(struct model *m)
{
    uint32_t sum;

    ok(cuStreamSynchronize(m->stream));
    ok(cuMemcpyDtoH_v2(&sum, m->sum, 4));
    cr_assert_eq(sum, m->expected);
}

static void pass(struct model *m)
{
    for (uint32_t i = 0; i < TENSORS; i++)
        read_tensor(m, i);
    expect_sum(m);
}

static void passes(struct model *m, int n)
{
    while (n--)
        pass(m);
}

Test(streaming, a_model_twice_as_large_as_the_card_is_read_through_the_ring)
{
    struct model m = start_model("28MiB");
    uint64_t in_place, streamed, to_host;

    passes(&m, 4);
    cr_assert_eq(stats_get(streaming_plans), 1);
    in_place = stats_now().kernel_bytes_host;
    streamed = stats_get(bytes_streamed);
    to_host = stats_now().bytes_to_host;
    passes(&m, 5);
    cr_expect_eq(stats_now().kernel_bytes_host, in_place, "nothing is read over the link");
    cr_expect_leq(stats_get(bytes_streamed) - streamed, 5 * (MODEL - 28 * MIB + 10 * PAGE));
    cr_expect_leq(stats_now().bytes_to_host - to_host, 4096, "nothing is written back");
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
    expect_nothing_paged();
}

/* How a weight can be written. */
enum way { BY_COPY, BY_COPY_IN_STREAM, BY_MEMSET, BY_KERNEL, THROUGH_A_POINTER };

static void write_weight(struct model *m, enum way way, uint32_t tensor, uint32_t value)
{
    CUdeviceptr at = m->weights + (uint64_t)tensor * TENSOR;
    uint64_t index = tensor;
    void *params[] = {&m->pointers, &index, &value};

    *mirror_at(m, (uint64_t)tensor * TENSOR) = value;
    switch (way) {
    case BY_COPY:
        ok(cuStreamSynchronize(m->stream));
        ok(cuMemcpyHtoD_v2(at, &value, 4));
        break;
    case BY_COPY_IN_STREAM:
        ok(cuMemcpyHtoDAsync_v2(at, &value, 4, m->stream));
        break;
    case BY_MEMSET:
        ok(cuMemsetD32Async(at, value, 1, m->stream));
        break;
    case BY_KERNEL:
        ok(launch_fill(&m->code, at, 1, value, m->stream));
        break;
    default:
        ok(cuLaunchKernel(m->through, 1, 1, 1, 1, 1, 1, 0, m->stream, params, NULL));
    }
}

/* Tensors that are being read, have just been read, or are about to be, and so may be staged. */
static void write_beside_reading(enum way way)
{
    struct model m = start_model("28MiB");

    passes(&m, 5);
    for (uint32_t i = 0; i < 28; i++) {
        uint32_t at = i * 5 % TENSORS;

        for (uint32_t k = 0; k < TENSORS; k++) {
            read_tensor(&m, k);
            if (k == at)
                write_weight(&m, way, (at + TENSORS - 1 + i % 6) % TENSORS, 1000 + i);
        }
        expect_sum(&m);
    }
    cr_expect_gt(stats_get(launches_redirected), 0);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
}

Test(streaming, a_copy_into_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_COPY);
}

Test(streaming, a_copy_in_stream_order_into_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_COPY_IN_STREAM);
}

Test(streaming, a_memset_of_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_MEMSET);
}

Test(streaming, a_kernel_that_writes_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_KERNEL);
}

Test(streaming, a_write_through_a_pointer_in_device_memory_is_seen_by_the_next_launch)
{
    write_beside_reading(THROUGH_A_POINTER);
}

Test(streaming, weights_that_are_written_in_every_pass_stay_on_the_card)
{
    struct model m = start_model("28MiB");

    for (uint32_t i = 0; i < 12; i++) {
        pass(&m);
        for (uint32_t k = 0; k < 4; k++) {
            uint64_t offset = (uint64_t)k * 3 * TENSOR;

            ok(launch_fill(&m.code, m.weights + offset, 1, i * 10 + k, m.stream));
            *mirror_at(&m, offset) = i * 10 + k;
        }
    }
    cr_expect_gt(stats_get(launches_redirected), 0);
    stop_model(&m);
}

Test(streaming, a_random_order_is_read_right)
{
    struct model m = start_model("28MiB");
    unsigned int seed = 5;

    passes(&m, 5);
    for (uint32_t i = 0; i < 400; i++) {
        read_tensor(&m, (uint32_t)rand_r(&seed) % TENSORS);
        if (i % 16 == 0)
            expect_sum(&m);
    }
    expect_sum(&m);
    passes(&m, 6);
    stop_model(&m);
}

Test(streaming, a_buffer_freed_and_another_at_its_place_are_told_apart)
{
    struct model m = start_model("28MiB");

    passes(&m, 5);
    for (uint32_t round = 0; round < 3; round++) {
        CUdeviceptr before = m.weights;

        read_tensor(&m, 0);
        expect_sum(&m);
        ok(cuMemFree_v2(m.weights));
        m.weights = alloc(MODEL);
        cr_expect_eq(m.weights, before);
        for (uint64_t i = 0; i < MODEL; i += 64 * KIB) {
            *mirror_at(&m, i) = (uint32_t)(i * 31 + round);
            ok(cuMemcpyHtoD_v2(m.weights + i, mirror_at(&m, i), 4));
        }
        passes(&m, 5);
    }
    cr_expect_geq(stats_get(streaming_plans), 4);
    stop_model(&m);
}

Test(streaming, a_pass_of_another_order_is_learned_anew)
{
    struct model m = start_model("28MiB");

    passes(&m, 5);
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < TENSORS; i++)
            read_tensor(&m, i * 5 % TENSORS);
        expect_sum(&m);
    }
    cr_expect_geq(stats_get(streaming_plans), 2);
    stop_model(&m);
}

Test(streaming, what_is_allocated_meanwhile_does_not_disturb)
{
    struct model m = start_model("28MiB");

    passes(&m, 5);
    for (uint32_t i = 0; i < 10; i++) {
        CUdeviceptr more = alloc(4 * PAGE);

        ok(launch_fill(&m.code, more, 16, i, m.stream));
        pass(&m);
        cr_expect_eq(read_word(more), i);
        ok(cuMemFree_v2(more));
    }
    passes(&m, 5);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
}

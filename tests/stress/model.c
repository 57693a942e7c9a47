/* SPDX-License-Identifier: MIT */
#include "tests/stress/model.h"

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

uint32_t *mirror_at(struct model *m, uint64_t offset)
{
    return &m->mirror[offset / (64 * KIB)];
}

struct model start_model(const char *vram)
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
    /* What they point to would never be on a disk. */
    for (uint64_t i = 0; i < TENSORS && !getenv("VRAMSHIM_SPILL_DIR"); i++) {
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

void stop_model(struct model *m)
{
    ok(cuMemFree_v2(m->weights));
    free(m->mirror);
}

void expect_tensor(struct model *m, uint32_t tensor)
{
    for (uint64_t i = 0; i < TENSOR; i += 64 * KIB)
        m->expected = m->expected * 33 + *mirror_at(m, (uint64_t)tensor * TENSOR + i);
}

void read_tensor(struct model *m, uint32_t tensor)
{
    CUdeviceptr at = m->weights + (uint64_t)tensor * TENSOR;
    uint64_t bytes = TENSOR;
    void *params[] = {&m->sum, &at, &bytes};

    ok(cuLaunchKernel(m->read, 1, 1, 1, 1, 1, 1, 0, m->stream, params, NULL));
    expect_tensor(m, tensor);
}

void expect_sum(struct model *m)
{
    uint32_t sum;

    ok(cuStreamSynchronize(m->stream));
    ok(cuMemcpyDtoH_v2(&sum, m->sum, 4));
    cr_assert_eq(sum, m->expected);
}

void pass(struct model *m)
{
    for (uint32_t i = 0; i < TENSORS; i++)
        read_tensor(m, i);
    expect_sum(m);
}

void passes(struct model *m, int n)
{
    while (n--)
        pass(m);
}

void write_weight(struct model *m, enum way way, uint32_t tensor, uint32_t value)
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

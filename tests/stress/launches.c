/* SPDX-License-Identifier: MIT */
/*
 * Launches of every form, of kernels that are told in every way which memory to use.
 */
#include "tests/stress/churn.h"

#include <string.h>

enum {
    PIECE_MAX = 16 << 10,
    HIDDEN_MAX = 6,
};

struct operand {
    struct buffer *buffer;
    size_t from;
};

/* Distinct buffers where there are enough, so that what one kernel writes it reads nowhere else. */
static size_t any_operands(struct worker *worker, struct operand *operands, size_t most,
                           size_t *out_bytes)
{
    size_t first = random_below(&worker->random, worker->n_buffers);
    size_t count = most < worker->n_buffers ? most : worker->n_buffers;
    size_t bytes = PIECE_MAX;

    for (size_t i = 0; i < count; i++) {
        operands[i].buffer = &worker->buffers[(first + i) % worker->n_buffers];
        if (operands[i].buffer->bytes < bytes)
            bytes = operands[i].buffer->bytes;
    }
    bytes = random_spread(&worker->random, bytes);
    for (size_t i = 0; i < count; i++)
        operands[i].from = random_below(&worker->random, operands[i].buffer->bytes - bytes + 1);
    *out_bytes = bytes;
    return count;
}

static CUdeviceptr operand_address(const struct operand *operand)
{
    return operand->buffer->at + operand->from;
}

static uint8_t *operand_model(const struct operand *operand)
{
    return operand->buffer->model + operand->from;
}

static void order_all(struct worker *worker, struct operand *operands, size_t count,
                      enum stream_index stream)
{
    for (size_t i = 0; i < count; i++)
        buffer_order(worker, operands[i].buffer, stream);
}

/* `packed` holds the parameters as the device sees them; `params` points to each. */
static void submit(struct worker *worker, CUfunction function, void *packed, size_t bytes,
                   void **params, enum stream_index stream)
{
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                     CU_LAUNCH_PARAM_END};
    CUlaunchConfig config = {
        .gridDimX = 1,
        .gridDimY = 1,
        .gridDimZ = 1,
        .blockDimX = 32,
        .blockDimY = 1,
        .blockDimZ = 1,
        .hStream = worker->streams[stream],
    };

    switch (random_below(&worker->random, 4)) {
    case 0:
        CHECK(worker, cuLaunchKernel, function, 1, 1, 1, 32, 1, 1, 0, worker->streams[stream], NULL,
              extra);
        break;
    case 1:
        CHECK(worker, cuLaunchKernelEx, &config, function, params, NULL);
        break;
    default:
        CHECK(worker, cuLaunchKernel, function, 1, 1, 1, 32, 1, 1, 0, worker->streams[stream],
              params, NULL);
    }
}

static void launch_mix(struct worker *worker, enum stream_index stream)
{
    struct operand operands[2];
    struct mix_params p = {.key = (uint32_t)random_next(&worker->random)};
    void *params[] = {&p.to, &p.from, &p.n, &p.key};
    size_t bytes;

    if (any_operands(worker, operands, 2, &bytes) < 2)
        return;
    p.to = operand_address(&operands[0]);
    p.from = operand_address(&operands[1]);
    p.n = bytes;
    order_all(worker, operands, 2, stream);
    submit(worker, worker->world->kernels.mix, &p, offsetof(struct mix_params, key) + 4, params,
           stream);
    for (size_t i = 0; i < bytes; i++)
        operand_model(&operands[0])[i] =
            mix_byte(operand_model(&operands[0])[i], operand_model(&operands[1])[i], p.key);
}

static void launch_blend(struct worker *worker, enum stream_index stream)
{
    struct operand operands[3];
    struct blend_params p = {.spec.key = (uint32_t)random_next(&worker->random)};
    void *params[] = {&p.spec};
    uint8_t *to;
    size_t bytes;

    if (any_operands(worker, operands, 3, &bytes) < 3)
        return;
    p.spec.to = operand_address(&operands[0]);
    p.spec.left = operand_address(&operands[1]);
    p.spec.right = operand_address(&operands[2]);
    p.spec.n = bytes;
    order_all(worker, operands, 3, stream);
    submit(worker, worker->world->kernels.blend, &p, sizeof(p), params, stream);
    to = operand_model(&operands[0]);
    for (size_t i = 0; i < bytes; i++)
        to[i] = blend_byte(to[i], operand_model(&operands[1])[i], operand_model(&operands[2])[i],
                           p.spec.key);
}

static void launch_gather(struct worker *worker, enum stream_index stream)
{
    struct operand operands[1 + GATHER_SOURCES];
    struct gather_params p = {.key = (uint32_t)random_next(&worker->random)};
    void *params[] = {&p.to,      &p.from[0], &p.from[1], &p.from[2], &p.from[3],
                      &p.from[4], &p.from[5], &p.from[6], &p.n,       &p.key};
    size_t count, bytes;
    uint8_t *to;

    count = any_operands(worker, operands, 1 + GATHER_SOURCES, &bytes);
    if (count < 2)
        return;
    p.to = operand_address(&operands[0]);
    p.n = bytes;
    for (size_t i = 0; i < GATHER_SOURCES; i++)
        p.from[i] = operand_address(&operands[1 + i % (count - 1)]);
    order_all(worker, operands, count, stream);
    submit(worker, worker->world->kernels.gather, &p, offsetof(struct gather_params, key) + 4,
           params, stream);
    to = operand_model(&operands[0]);
    for (size_t i = 0; i < bytes; i++)
        for (size_t source = 0; source < GATHER_SOURCES; source++)
            to[i] = mix_byte(to[i], operand_model(&operands[1 + source % (count - 1)])[i], p.key);
}

/* The table itself is a piece of a buffer, too. */
static void launch_hidden(struct worker *worker, enum stream_index stream)
{
    struct operand operands[1 + HIDDEN_MAX];
    struct hidden_params p = {.key = (uint32_t)random_next(&worker->random)};
    void *params[] = {&p.table, &p.count, &p.n, &p.key};
    uint64_t *addresses;
    size_t count, bytes;
    struct buffer *table;
    size_t at;

    count = any_operands(worker, operands, 1 + HIDDEN_MAX, &bytes);
    table = operands[0].buffer;
    if (count < 2 || table->bytes < 8 * count)
        return;
    at = random_below(&worker->random, (table->bytes - 8 * (count - 1)) / 8 + 1) * 8;
    addresses = (uint64_t *)arena_take(worker, 8 * (HIDDEN_MAX + 1) + 8);
    addresses = (uint64_t *)(((uintptr_t)addresses + 7) & ~(uintptr_t)7);
    for (size_t i = 1; i < count; i++)
        addresses[i - 1] = operand_address(&operands[i]);
    p.table = table->at + at;
    p.count = count - 1;
    p.n = bytes;
    order_all(worker, operands, count, stream);
    CHECK(worker, cuMemcpyHtoDAsync, p.table, addresses, 8 * p.count, worker->streams[stream]);
    memcpy(table->model + at, addresses, 8 * p.count);
    submit(worker, worker->world->kernels.hidden, &p, offsetof(struct hidden_params, key) + 4,
           params, stream);
    for (size_t entry = 0; entry < p.count; entry++)
        for (size_t i = 0; i < bytes; i++)
            operand_model(&operands[1 + entry])[i] =
                hidden_byte(operand_model(&operands[1 + entry])[i], entry, p.key);
}

void launch_some(struct worker *worker)
{
    enum stream_index stream = any_stream(worker);

    switch (random_below(&worker->random, 5)) {
    case 0:
    case 1:
        worker->doing = "launch of mix";
        launch_mix(worker, stream);
        break;
    case 2:
        worker->doing = "launch of blend";
        launch_blend(worker, stream);
        break;
    case 3:
        worker->doing = "launch of gather";
        launch_gather(worker, stream);
        break;
    default:
        worker->doing = "launch of hidden";
        launch_hidden(worker, stream);
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * Stream memory operations: a stream that writes a value, or waits for one.
 *
 * A wait that is not satisfied does not stop other streams: whoever runs it runs what else can run,
 * and in between lets other threads submit work or write the value themselves. A value that never
 * comes hangs, as it does on a device. The first versions of the calls are refused as by drivers
 * that are not told to allow them; the attributes of the two are different ones.
 */
#include <time.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/copy.h"

#define NAP_NS     50000
#define MOST_BATCH 256

struct value_work {
    struct work work;
    uint64_t address;
    uint64_t value;
    unsigned int bytes; /* 4 or 8 */
    unsigned int condition;
};

/* NULL where the device faults. */
static void *value_at(const struct value_work *op, int device, bool write)
{
    uint64_t span;
    bool on_host;
    void *at = mmu_copy_span(device, op->address, op->bytes, write, &span, &on_host);

    return at && span == op->bytes ? at : NULL;
}

static void write_run(struct work *work)
{
    const struct value_work *op = (struct value_work *)work;
    void *at = value_at(op, work->stream->context->device, true);

    if (!at)
        copy_fault(work->stream, "stream memory operation", op->address);
    else if (op->bytes == 8)
        __atomic_store_n((uint64_t *)at, op->value, __ATOMIC_SEQ_CST);
    else
        __atomic_store_n((uint32_t *)at, (uint32_t)op->value, __ATOMIC_SEQ_CST);
}

static bool is_satisfied(const struct value_work *op, uint64_t now)
{
    uint64_t mask = op->bytes == 8 ? UINT64_MAX : UINT32_MAX;

    switch (op->condition) {
    case CU_STREAM_WAIT_VALUE_EQ:
        return now == op->value;
    case CU_STREAM_WAIT_VALUE_AND:
        return now & op->value;
    case CU_STREAM_WAIT_VALUE_NOR:
        return ~(now | op->value) & mask;
    default:
        /* A counter that may have wrapped around: the difference counts, with its sign. */
        return op->bytes == 8 ? (int64_t)(now - op->value) >= 0
                              : (int32_t)((uint32_t)now - (uint32_t)op->value) >= 0;
    }
}

/* Also when the address faults: running it will show. */
static bool wait_ready(const struct work *work)
{
    const struct value_work *op = (const struct value_work *)work;
    const void *at = value_at(op, work->stream->context->device, false);

    if (!at)
        return true;
    return is_satisfied(op, op->bytes == 8
                                ? __atomic_load_n((const uint64_t *)at, __ATOMIC_SEQ_CST)
                                : __atomic_load_n((const uint32_t *)at, __ATOMIC_SEQ_CST));
}

static void wait_run(struct work *work)
{
    const struct value_work *op = (struct value_work *)work;
    const struct context *context = work->stream->context;
    const struct timespec nap = {.tv_nsec = NAP_NS};

    while (!context->sticky && !wait_ready(work)) {
        if (stream_progress_any())
            continue;
        core_unlock();
        nanosleep(&nap, NULL);
        core_lock();
    }
    if (!context->sticky && !value_at(op, context->device, false))
        copy_fault(work->stream, "stream memory operation", op->address);
}

static CUresult check_wait(unsigned int flags)
{
    /* The cards cannot flush remote writes, and say so. */
    if (flags & CU_STREAM_WAIT_VALUE_FLUSH)
        return CUDA_ERROR_NOT_SUPPORTED;
    return flags > CU_STREAM_WAIT_VALUE_NOR ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static CUresult check_write(unsigned int flags)
{
    return flags > CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER ? CUDA_ERROR_INVALID_VALUE
                                                           : CUDA_SUCCESS;
}

/* One operation, as the batch has it; `bytes` 0 for those without a value. */
static CUresult parse(const CUstreamBatchMemOpParams *params, struct value_work *out, bool *waits)
{
    *out = (struct value_work){.bytes = 4};
    *waits = false;
    switch ((int)params->operation) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
        *waits = true;
        out->bytes = params->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ? 8 : 4;
        out->address = params->waitValue.address;
        out->value = out->bytes == 8 ? params->waitValue.value64 : params->waitValue.value;
        out->condition = params->waitValue.flags;
        return check_wait(params->waitValue.flags);
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
        out->bytes = params->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64 ? 8 : 4;
        out->address = params->writeValue.address;
        out->value = out->bytes == 8 ? params->writeValue.value64 : params->writeValue.value;
        return check_write(params->writeValue.flags);
    case CU_STREAM_MEM_OP_BARRIER:
        out->bytes = 0;
        return CUDA_SUCCESS;
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult check(const CUstreamBatchMemOpParams *params, int device)
{
    struct value_work op;
    struct copy_box box = {.height = 1, .depth = 1};
    struct copy_side side;
    bool waits;
    CUresult res = parse(params, &op, &waits);

    if (res || !op.bytes)
        return res;
    if (!op.address || !is_aligned(op.address, op.bytes))
        return CUDA_ERROR_INVALID_VALUE;
    box.width = op.bytes;
    side = copy_side_of(SIDE_TYPE_DEVICE, op.address, device);
    return copy_check_side(&side, &box, !waits);
}

static CUresult submit(struct stream *stream, const CUstreamBatchMemOpParams *params)
{
    struct value_work parsed;
    struct value_work *op;
    bool waits;

    if (parse(params, &parsed, &waits) || !parsed.bytes)
        return CUDA_SUCCESS;
    op = work_new(sizeof(*op), waits ? wait_run : write_run, NULL);
    if (!op)
        return CUDA_ERROR_OUT_OF_MEMORY;
    op->address = parsed.address;
    op->value = parsed.value;
    op->bytes = parsed.bytes;
    op->condition = parsed.condition;
    op->work.ready = waits ? wait_ready : NULL;
    return stream_submit(stream, &op->work);
}

CUresult sim_cuStreamBatchMemOp_v2(CUstream handle, unsigned int count,
                                   CUstreamBatchMemOpParams *param_array, unsigned int flags)
{
    struct context *context;
    struct stream *stream;
    CUresult res = context_require(&context);

    if (!res)
        res = stream_resolve(handle, context, &stream);
    if (!res && (!param_array || !count || count > MOST_BATCH || flags))
        res = CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < count && !res; i++)
        res = check(&param_array[i], stream->context->device);
    for (unsigned int i = 0; i < count && !res; i++)
        res = submit(stream, &param_array[i]);
    return res;
}

CUresult sim_cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr addr, uint32_t value,
                                    unsigned int flags)
{
    CUstreamBatchMemOpParams params = {
        .waitValue = {CU_STREAM_MEM_OP_WAIT_VALUE_32, addr, {.value = value}, flags, 0},
    };

    return sim_cuStreamBatchMemOp_v2(stream, 1, &params, 0);
}

CUresult sim_cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr addr, uint64_t value,
                                    unsigned int flags)
{
    CUstreamBatchMemOpParams params = {
        .waitValue = {CU_STREAM_MEM_OP_WAIT_VALUE_64, addr, {.value64 = value}, flags, 0},
    };

    return sim_cuStreamBatchMemOp_v2(stream, 1, &params, 0);
}

CUresult sim_cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr, uint32_t value,
                                     unsigned int flags)
{
    CUstreamBatchMemOpParams params = {
        .writeValue = {CU_STREAM_MEM_OP_WRITE_VALUE_32, addr, {.value = value}, flags, 0},
    };

    return sim_cuStreamBatchMemOp_v2(stream, 1, &params, 0);
}

CUresult sim_cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr addr, uint64_t value,
                                     unsigned int flags)
{
    CUstreamBatchMemOpParams params = {
        .writeValue = {CU_STREAM_MEM_OP_WRITE_VALUE_64, addr, {.value64 = value}, flags, 0},
    };

    return sim_cuStreamBatchMemOp_v2(stream, 1, &params, 0);
}

static CUresult refuse_first_version(void)
{
    struct context *context;
    CUresult res = context_require(&context);

    return res ? res : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult sim_cuStreamWaitValue32(CUstream stream, CUdeviceptr addr, uint32_t value,
                                 unsigned int flags)
{
    return refuse_first_version();
}

CUresult sim_cuStreamWaitValue64(CUstream stream, CUdeviceptr addr, uint64_t value,
                                 unsigned int flags)
{
    return refuse_first_version();
}

CUresult sim_cuStreamWriteValue32(CUstream stream, CUdeviceptr addr, uint32_t value,
                                  unsigned int flags)
{
    return refuse_first_version();
}

CUresult sim_cuStreamWriteValue64(CUstream stream, CUdeviceptr addr, uint64_t value,
                                  unsigned int flags)
{
    return refuse_first_version();
}

CUresult sim_cuStreamBatchMemOp(CUstream stream, unsigned int count,
                                CUstreamBatchMemOpParams *param_array, unsigned int flags)
{
    return refuse_first_version();
}

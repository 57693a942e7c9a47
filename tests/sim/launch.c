/* SPDX-License-Identifier: MIT */
/*
 * Launching kernels: limits, parameters, and what a fault does to the context.
 *
 * Parameters are packed at submission. The kernel runs under the simulator's lock, so that mappings
 * cannot change beneath it, in the thread that waits for it, and in others that this one calls
 * (SIM_THREADS), which take no lock of the simulator's.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/calls.h"
#include "tests/sim/copy.h"
#include "tests/sim/counters.h"
#include "tests/sim/profile.h"
#include "tests/sim/device.h"
#include "tests/sim/launch.h"

struct launch {
    struct work work;
    struct function *function;
    struct context *context;
    CUkernel kernel; /* as in struct kernel_task */
    struct ptx_launch shape;
    uint8_t *params;
    size_t params_bytes;
};

static void say_fault(const struct launch *launch, const struct ptx_fault *fault, const char *what,
                      CUresult error)
{
    const char *name = "CUDA_ERROR_UNKNOWN";
    char near[160];

    memory_describe(fault->address, near, sizeof(near));
    sim_cuGetErrorName(error, &name);
    if (launch->function->native)
        core_say("kernel %s: %s 0x%llx; %s; the context is lost with %s", launch->function->name,
                 what, (unsigned long long)fault->address, near, name);
    else
        core_say("kernel %s: %s 0x%llx by thread (%u,%u,%u) of block (%u,%u,%u), PTX line %d; "
                 "%s; the context is lost with %s",
                 launch->function->name, what, (unsigned long long)fault->address, fault->thread[0],
                 fault->thread[1], fault->thread[2], fault->block[0], fault->block[1],
                 fault->block[2], fault->line, near, name);
}

static void launch_fault(const struct launch *launch, const struct ptx_fault *fault,
                         enum ptx_outcome outcome)
{
    CUresult error = CUDA_ERROR_ILLEGAL_ADDRESS;
    const char *what = fault->write ? "illegal write to" : "illegal read of";

    switch (outcome) {
    case PTX_MISALIGNED:
        error = CUDA_ERROR_MISALIGNED_ADDRESS;
        what = "misaligned access to";
        break;
    case PTX_TRAP:
        error = CUDA_ERROR_LAUNCH_FAILED;
        what = fault->why ? fault->why : "trap, last address";
        break;
    case PTX_ASSERT:
        error = CUDA_ERROR_ASSERT;
        what = "assertion failed, last address";
        break;
    case PTX_OUT_OF_MEMORY:
        error = CUDA_ERROR_LAUNCH_FAILED;
        what = "the simulator itself ran out of memory near";
        break;
    default:
        counters.illegal_addresses++;
        break;
    }
    say_fault(launch, fault, what, error);
    context_break(launch->work.stream->context, error);
}

static void launch_run(struct work *work)
{
    const struct launch *launch = (struct launch *)work;
    const struct function *function = launch->function;
    struct ptx_launch shape = launch->shape;
    enum ptx_outcome outcome = PTX_DONE;
    struct ptx_fault fault = {0};
    bool write = false;
    bool faulted;
    uint64_t address;
    uint64_t instructions = counters.thread_instructions;
    uint64_t on_device = __atomic_load_n(&counters.kernel_bytes_device, __ATOMIC_RELAXED);
    uint64_t on_host = __atomic_load_n(&counters.kernel_bytes_host, __ATOMIC_RELAXED);

    shape.begin_ns = work->begin_ns;
    shape.threads = settings.threads;
    mmu_begin_kernel(work->stream->context->device, counters.launches++);
    if (function->native)
        function->native->run(launch->params);
    else
        outcome = ptx_kernel_run(function->ptx, &shape, &fault, &counters.thread_instructions);
    print_flush();
    faulted = mmu_end_kernel(&address, &write);
    instructions = counters.thread_instructions - instructions;
    work->cost.ns = (uint64_t)((unsigned __int128)instructions * 1000000000 / profile.instructions);
    work->cost.bytes = __atomic_load_n(&counters.kernel_bytes_device, __ATOMIC_RELAXED) - on_device;
    work->cost.link_bytes =
        __atomic_load_n(&counters.kernel_bytes_host, __ATOMIC_RELAXED) - on_host;
    if (outcome == PTX_DONE && faulted) {
        outcome = PTX_ILLEGAL_ADDRESS;
        fault.address = address;
        fault.write = write;
    }
    if (outcome != PTX_DONE)
        launch_fault(launch, &fault, outcome);
}

static void launch_drop(struct work *work)
{
    free(((struct launch *)work)->params);
}

/* Blocks that may wait for each other must all be on the card at once. */
static CUresult check_together(const struct function *function, const struct ptx_launch *shape)
{
    const unsigned int *block = shape->block;
    uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
    uint64_t blocks = (uint64_t)shape->grid[0] * shape->grid[1] * shape->grid[2];
    uint64_t room = occupancy_blocks(function, threads, shape->dynamic_shared_bytes);

    return blocks > room * DEVICE_MULTIPROCESSORS ? CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
                                                  : CUDA_SUCCESS;
}

static CUresult check_shape(const struct function *function, const struct ptx_launch *shape)
{
    const unsigned int *grid = shape->grid;
    const unsigned int *block = shape->block;
    size_t shared = shape->dynamic_shared_bytes;

    for (int i = 0; i < 3; i++)
        if (!grid[i] || !block[i])
            return CUDA_ERROR_INVALID_VALUE;
    if (grid[0] > DEVICE_MAX_GRID_X || grid[1] > DEVICE_MAX_GRID_YZ ||
        grid[2] > DEVICE_MAX_GRID_YZ || block[0] > DEVICE_MAX_BLOCK_X ||
        block[1] > DEVICE_MAX_BLOCK_Y || block[2] > DEVICE_MAX_BLOCK_Z ||
        (uint64_t)block[0] * block[1] * block[2] > DEVICE_MAX_THREADS)
        return CUDA_ERROR_INVALID_VALUE;
    if (function->max_dynamic_shared >= 0 && function->max_dynamic_shared > DEVICE_SHARED_BYTES) {
        if (shared > (size_t)function->max_dynamic_shared)
            return CUDA_ERROR_INVALID_VALUE;
    } else if (shared + function_shared_bytes(function) > DEVICE_SHARED_BYTES) {
        return CUDA_ERROR_INVALID_VALUE;
    }
    return shape->cooperative ? check_together(function, shape) : CUDA_SUCCESS;
}

static CUresult pack_pointers(const struct function *function, void **kernel_params, uint8_t *to)
{
    for (size_t i = 0; i < function_n_params(function); i++) {
        size_t offset;
        size_t bytes;

        if (!kernel_params || !kernel_params[i])
            return CUDA_ERROR_INVALID_VALUE;
        function_param(function, i, &offset, &bytes);
        memcpy(to + offset, kernel_params[i], bytes);
    }
    return CUDA_SUCCESS;
}

static CUresult pack_extra(void **extra, uint8_t *to, size_t needed)
{
    const void *buffer = NULL;
    size_t bytes = 0;

    for (size_t i = 0; extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
        if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            buffer = extra[i + 1];
        else if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            bytes = *(const size_t *)extra[i + 1];
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (needed && (!buffer || bytes < needed))
        return CUDA_ERROR_INVALID_VALUE;
    if (needed)
        memcpy(to, buffer, needed);
    return CUDA_SUCCESS;
}

/* One pointer for each parameter of a node. */
static CUresult point_at_params(struct kernel_task *task)
{
    task->n_params = function_n_params(task->function);
    task->pointers = calloc(task->n_params + 1, sizeof(*task->pointers));
    if (!task->pointers)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < task->n_params; i++) {
        size_t offset;
        size_t bytes;

        function_param(task->function, i, &offset, &bytes);
        task->pointers[i] = task->params + offset;
    }
    return CUDA_SUCCESS;
}

static CUresult launch_record(struct work *work, struct task *out)
{
    struct launch *launch = (struct launch *)work;
    struct kernel_task *task = calloc(1, sizeof(*task));

    if (!task)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *task = (struct kernel_task){
        .function = launch->function,
        .context = launch->context,
        .shape = launch->shape,
        .params = launch->params,
        .params_bytes = launch->params_bytes,
        .kernel = launch->kernel,
    };
    if (point_at_params(task)) {
        free(task);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    launch->params = NULL;
    *out = (struct task){.type = CU_GRAPH_NODE_TYPE_KERNEL, .kernel = task};
    return CUDA_SUCCESS;
}

void kernel_task_free(struct kernel_task *task)
{
    free(task->pointers);
    free(task->params);
    free(task);
}

CUresult kernel_task_copy(const struct kernel_task *task, struct kernel_task **out)
{
    struct kernel_task *copy = calloc(1, sizeof(*copy));

    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *copy = *task;
    copy->params = malloc(task->params_bytes + 1);
    copy->pointers = calloc(task->n_params + 1, sizeof(*copy->pointers));
    if (!copy->params || !copy->pointers) {
        kernel_task_free(copy);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memcpy(copy->params, task->params, task->params_bytes);
    for (size_t i = 0; i < task->n_params; i++)
        copy->pointers[i] = copy->params + ((uint8_t *)task->pointers[i] - task->params);
    copy->shape.params = copy->params;
    *out = copy;
    return CUDA_SUCCESS;
}

static struct launch *launch_alloc(struct function *function, size_t params_bytes)
{
    struct launch *launch = work_new(sizeof(*launch), launch_run, launch_drop);

    if (!launch)
        return NULL;
    launch->work.record = launch_record;
    launch->work.cost.engine = ENGINE_COMPUTE;
    launch->function = function;
    launch->params_bytes = params_bytes;
    launch->params = calloc(1, params_bytes + 1);
    if (!launch->params) {
        work_free(&launch->work);
        return NULL;
    }
    return launch;
}

CUresult launch_again(const struct kernel_task *task, struct work **out)
{
    struct launch *launch;

    if (!handle_is(task->function, HANDLE_FUNCTION) ||
        function_param_bytes(task->function) != task->params_bytes)
        return CUDA_ERROR_INVALID_HANDLE;
    launch = launch_alloc(task->function, task->params_bytes);
    if (!launch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(launch->params, task->params, task->params_bytes);
    launch->context = task->context;
    launch->kernel = task->kernel;
    launch->shape = task->shape;
    launch->shape.params = launch->params;
    *out = &launch->work;
    return CUDA_SUCCESS;
}

CUresult launch_new(CUfunction func, struct context *context, struct ptx_launch shape,
                    void **kernel_params, void **extra, struct work **out)
{
    struct function *function;
    struct launch *launch;
    CUresult res = function_resolve(func, context, &function);

    if (!res)
        res = check_shape(function, &shape);
    if (!res && kernel_params && extra)
        res = CUDA_ERROR_INVALID_VALUE;
    if (res)
        return res;
    launch = launch_alloc(function, function_param_bytes(function));
    if (!launch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    launch->context = context;
    launch->kernel = handle_is(func, HANDLE_KERNEL) ? (CUkernel)func : NULL;
    launch->shape = shape;
    launch->shape.params = launch->params;
    res = extra ? pack_extra(extra, launch->params, launch->params_bytes)
                : pack_pointers(function, kernel_params, launch->params);
    if (res)
        work_free(&launch->work);
    else
        *out = &launch->work;
    return res;
}

static CUresult launch(CUfunction func, CUstream handle, struct ptx_launch shape,
                       void **kernel_params, void **extra)
{
    struct context *context;
    struct stream *stream;
    struct work *work;
    CUresult res = context_require(&context);

    if (!res)
        res = stream_resolve(handle, context, &stream);
    if (!res)
        res = launch_new(func, stream->context, shape, kernel_params, extra, &work);
    return res ? res : stream_submit(stream, work);
}

CUresult sim_cuLaunchKernel(CUfunction func, unsigned int grid_dim_x, unsigned int grid_dim_y,
                            unsigned int grid_dim_z, unsigned int block_dim_x,
                            unsigned int block_dim_y, unsigned int block_dim_z,
                            unsigned int shared_mem_bytes, CUstream stream, void **kernel_params,
                            void **extra)
{
    struct ptx_launch shape = {
        .grid = {grid_dim_x, grid_dim_y, grid_dim_z},
        .block = {block_dim_x, block_dim_y, block_dim_z},
        .dynamic_shared_bytes = shared_mem_bytes,
    };

    return launch(func, stream, shape, kernel_params, extra);
}

CUresult sim_cuLaunchCooperativeKernel(CUfunction func, unsigned int grid_dim_x,
                                       unsigned int grid_dim_y, unsigned int grid_dim_z,
                                       unsigned int block_dim_x, unsigned int block_dim_y,
                                       unsigned int block_dim_z, unsigned int shared_mem_bytes,
                                       CUstream stream, void **kernel_params)
{
    struct ptx_launch shape = {
        .grid = {grid_dim_x, grid_dim_y, grid_dim_z},
        .block = {block_dim_x, block_dim_y, block_dim_z},
        .dynamic_shared_bytes = shared_mem_bytes,
        .cooperative = true,
    };

    return launch(func, stream, shape, kernel_params, NULL);
}

/* Attributes that change only how fast or how early a kernel runs may be passed over. */
static CUresult read_attributes(const CUlaunchConfig *config, struct ptx_launch *shape)
{
    for (unsigned int i = 0; i < config->numAttrs; i++) {
        switch ((int)config->attrs[i].id) {
        case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
            shape->cooperative = config->attrs[i].value.cooperative;
            break;
        case CU_LAUNCH_ATTRIBUTE_IGNORE:
        case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
        case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
            break;
        default:
            core_say("launch attribute %d is not simulated; answering CUDA_ERROR_NOT_SUPPORTED",
                     (int)config->attrs[i].id);
            return CUDA_ERROR_NOT_SUPPORTED;
        }
    }
    return CUDA_SUCCESS;
}

CUresult sim_cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction func, void **kernel_params,
                              void **extra)
{
    struct ptx_launch shape = {.cooperative = false};
    CUresult res;

    if (!config || (config->numAttrs && !config->attrs))
        return CUDA_ERROR_INVALID_VALUE;
    res = read_attributes(config, &shape);
    if (res)
        return res;
    shape.grid[0] = config->gridDimX;
    shape.grid[1] = config->gridDimY;
    shape.grid[2] = config->gridDimZ;
    shape.block[0] = config->blockDimX;
    shape.block[1] = config->blockDimY;
    shape.block[2] = config->blockDimZ;
    shape.dynamic_shared_bytes = config->sharedMemBytes;
    return launch(func, config->hStream, shape, kernel_params, extra);
}

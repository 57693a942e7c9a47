/* SPDX-License-Identifier: MIT */
/*
 * Descriptions of nodes: made of work, copied, made into work again, released.
 */
#include "tests/sim/node.h"

#include <stdlib.h>

#include "tests/sim/event.h"
#include "tests/sim/graph.h"
#include "tests/sim/graph_memory.h"
#include "tests/sim/launch.h"

CUresult task_of_work(struct work *work, struct task *out)
{
    CUresult res = work->record ? work->record(work, out) : CUDA_ERROR_NOT_SUPPORTED;

    work_free(work);
    return res;
}

static CUresult copy_task_copy(const struct copy_task *task, struct copy_task **out)
{
    struct copy_task *copy = malloc(sizeof(*copy));

    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *copy = *task;
    *out = copy;
    return CUDA_SUCCESS;
}

CUresult task_copy(const struct task *task, bool hidden, struct task *out)
{
    *out = *task;
    switch ((int)task->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return kernel_task_copy(task->kernel, &out->kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return copy_task_copy(task->copy, &out->copy);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return graph_copy(task->child, hidden, &out->child);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        graph_memory_get(task->memory);
        return CUDA_SUCCESS;
    default:
        return CUDA_SUCCESS;
    }
}

void task_fini(struct task *task)
{
    switch ((int)task->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        kernel_task_free(task->kernel);
        break;
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        free(task->copy);
        break;
    case CU_GRAPH_NODE_TYPE_GRAPH:
        graph_free(task->child);
        break;
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        graph_memory_put(task->memory);
        break;
    default:
        break;
    }
}

struct context *task_context(const struct task *task)
{
    switch ((int)task->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return task->kernel->context;
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return task->copy->context;
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return task->memset.context;
    default:
        return NULL;
    }
}

CUresult task_work(const struct task *task, struct work **out)
{
    struct work *work = NULL;

    switch ((int)task->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return launch_again(task->kernel, out);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return memset_new(&task->memset.asked, task->memset.context->device, false, out);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        work = copy_new(task->copy->dst, task->copy->src, task->copy->box);
        break;
    case CU_GRAPH_NODE_TYPE_HOST:
        work = host_function_new(task->host.fn, task->host.userData);
        break;
    default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    *out = work;
    return work ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

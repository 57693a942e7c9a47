/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Handlers of launches: what the parameters name is brought in first, then the launch passes the
 * gate. They are inlined into the entries, for which a few instructions count: a launch has more
 * arguments than there are registers, and every function between costs two copies of them.
 */

#include "runtime/driver.h"
#include "runtime/gate.h"
#include "runtime/pager.h"
#include "runtime/replay.h"

/* interpose/hooks_launch.c: launches with other parameters than the program gave. The gate has been
 * entered for them. */
CUresult redirected_cuLaunchKernel(CUfunction func, unsigned int grid_dim_x,
                                   unsigned int grid_dim_y, unsigned int grid_dim_z,
                                   unsigned int block_dim_x, unsigned int block_dim_y,
                                   unsigned int block_dim_z, unsigned int shared_mem_bytes,
                                   CUstream stream, struct redirect *redirect,
                                   const struct driver *drv);
CUresult redirected_cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction func,
                                     struct redirect *redirect, const struct driver *drv);
CUresult redirected_cuLaunchCooperativeKernel(CUfunction func, unsigned int grid_dim_x,
                                              unsigned int grid_dim_y, unsigned int grid_dim_z,
                                              unsigned int block_dim_x, unsigned int block_dim_y,
                                              unsigned int block_dim_z,
                                              unsigned int shared_mem_bytes, CUstream stream,
                                              struct redirect *redirect, const struct driver *drv);

ALWAYS_INLINE CUresult hook_cuLaunchKernel(const struct driver *drv, CUfunction func,
                                           unsigned int grid_dim_x, unsigned int grid_dim_y,
                                           unsigned int grid_dim_z, unsigned int block_dim_x,
                                           unsigned int block_dim_y, unsigned int block_dim_z,
                                           unsigned int shared_mem_bytes, CUstream stream,
                                           void **kernel_params, void **extra)
{
    struct redirect *redirect = pager_before_launch(drv, func, stream, kernel_params, extra);
    CUresult result;

    if (unlikely(redirect))
        return redirected_cuLaunchKernel(func, grid_dim_x, grid_dim_y, grid_dim_z, block_dim_x,
                                         block_dim_y, block_dim_z, shared_mem_bytes, stream,
                                         redirect, drv);
    gate_enter();
    result = drv->cuLaunchKernel(func, grid_dim_x, grid_dim_y, grid_dim_z, block_dim_x, block_dim_y,
                                 block_dim_z, shared_mem_bytes, stream, kernel_params, extra);
    gate_leave();
    return result;
}

ALWAYS_INLINE CUresult hook_cuLaunchKernelEx(const struct driver *drv, const CUlaunchConfig *config,
                                             CUfunction func, void **kernel_params, void **extra)
{
    struct redirect *redirect =
        pager_before_launch(drv, func, config ? config->hStream : NULL, kernel_params, extra);
    CUresult result;

    if (unlikely(redirect))
        return redirected_cuLaunchKernelEx(config, func, redirect, drv);
    gate_enter();
    result = drv->cuLaunchKernelEx(config, func, kernel_params, extra);
    gate_leave();
    return result;
}

ALWAYS_INLINE CUresult hook_cuLaunchCooperativeKernel(
    const struct driver *drv, CUfunction func, unsigned int grid_dim_x, unsigned int grid_dim_y,
    unsigned int grid_dim_z, unsigned int block_dim_x, unsigned int block_dim_y,
    unsigned int block_dim_z, unsigned int shared_mem_bytes, CUstream stream, void **kernel_params)
{
    struct redirect *redirect = pager_before_launch(drv, func, stream, kernel_params, NULL);
    CUresult result;

    if (unlikely(redirect))
        return redirected_cuLaunchCooperativeKernel(func, grid_dim_x, grid_dim_y, grid_dim_z,
                                                    block_dim_x, block_dim_y, block_dim_z,
                                                    shared_mem_bytes, stream, redirect, drv);
    gate_enter();
    result = drv->cuLaunchCooperativeKernel(func, grid_dim_x, grid_dim_y, grid_dim_z, block_dim_x,
                                            block_dim_y, block_dim_z, shared_mem_bytes, stream,
                                            kernel_params);
    gate_leave();
    return result;
}

/* interpose/hooks_exec.c: a launch that more has to be done for. */
CUresult graph_launch_aside(const struct driver *drv, CUgraphExec exec, CUstream stream);

ALWAYS_INLINE CUresult hook_cuGraphLaunch(const struct driver *drv, CUgraphExec graph_exec,
                                          CUstream stream)
{
    CUresult result = CUDA_SUCCESS;

    if (unlikely(pager_graphs_call_host() || replay_are_there()))
        return graph_launch_aside(drv, graph_exec, stream);
    if (unlikely(!gate_try_enter()))
        result = (CUresult)gate_enter_unknown();
    if (unlikely(result != CUDA_SUCCESS))
        return result;
    result = drv->cuGraphLaunch(graph_exec, stream);
    gate_leave();
    if (unlikely(result == CUDA_ERROR_OUT_OF_MEMORY))
        return graph_launch_aside(drv, graph_exec, stream);
    return result;
}

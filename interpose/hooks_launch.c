/* SPDX-License-Identifier: MIT */
/*
 * Launches that read staged copies: with parameters that name the copies, inside the gate.
 */
#include "interpose/launch_entry.h"

#include "runtime/redirect.h"

/* What it may read is looked at once more; CUDA_SUCCESS unless it is not to be made. */
static CUresult launching(const struct driver *drv, struct redirect *redirect)
{
    if (!redirect->refused)
        pager_check(drv, redirect);
    return redirect->refused;
}

static CUresult launched(const struct driver *drv, struct redirect *redirect, CUresult result)
{
    if (!redirect->refused)
        pager_guard(drv, redirect);
    gate_leave();
    pager_launched(drv, redirect);
    return result;
}

CUresult redirected_cuLaunchKernel(CUfunction func, unsigned int grid_dim_x,
                                   unsigned int grid_dim_y, unsigned int grid_dim_z,
                                   unsigned int block_dim_x, unsigned int block_dim_y,
                                   unsigned int block_dim_z, unsigned int shared_mem_bytes,
                                   CUstream stream, struct redirect *redirect,
                                   const struct driver *drv)
{
    CUresult result = launching(drv, redirect);

    if (result == CUDA_SUCCESS)
        result = drv->cuLaunchKernel(func, grid_dim_x, grid_dim_y, grid_dim_z, block_dim_x,
                                     block_dim_y, block_dim_z, shared_mem_bytes, stream,
                                     redirect->kernel_params, redirect->extra);
    return launched(drv, redirect, result);
}

CUresult redirected_cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction func,
                                     struct redirect *redirect, const struct driver *drv)
{
    CUresult result = launching(drv, redirect);

    if (result == CUDA_SUCCESS)
        result = drv->cuLaunchKernelEx(config, func, redirect->kernel_params, redirect->extra);
    return launched(drv, redirect, result);
}

CUresult redirected_cuLaunchCooperativeKernel(CUfunction func, unsigned int grid_dim_x,
                                              unsigned int grid_dim_y, unsigned int grid_dim_z,
                                              unsigned int block_dim_x, unsigned int block_dim_y,
                                              unsigned int block_dim_z,
                                              unsigned int shared_mem_bytes, CUstream stream,
                                              struct redirect *redirect, const struct driver *drv)
{
    CUresult result = launching(drv, redirect);

    if (result == CUDA_SUCCESS)
        result = drv->cuLaunchCooperativeKernel(func, grid_dim_x, grid_dim_y, grid_dim_z,
                                                block_dim_x, block_dim_y, block_dim_z,
                                                shared_mem_bytes, stream, redirect->kernel_params);
    return launched(drv, redirect, result);
}

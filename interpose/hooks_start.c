/* SPDX-License-Identifier: MIT */
/*
 * cuInit: passed on, and remembered for what a fork means (life.c).
 */

#include "interpose/hooks.h"
#include "interpose/life.h"

CUresult hook_cuInit(const struct driver *drv, unsigned int flags)
{
    CUresult result = drv->cuInit(flags);

    if (result == CUDA_SUCCESS)
        life_cuda_started();
    return result;
}

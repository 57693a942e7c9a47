/* SPDX-License-Identifier: MIT */
/*
 * cuGetProcAddress: the driver picks the version and the stream mode, we exchange its answer.
 */

#include "interpose/hooks.h"
#include "interpose/route.h"

static CUresult exchange(CUresult result, const char *symbol, void **pfn)
{
    if (result == CUDA_SUCCESS && pfn)
        *pfn = route_address(*pfn, symbol);
    return result;
}

CUresult hook_cuGetProcAddress(const struct driver *drv, const char *symbol, void **pfn,
                               int cuda_version, uint64_t flags)
{
    return exchange(drv->cuGetProcAddress(symbol, pfn, cuda_version, flags), symbol, pfn);
}

CUresult hook_cuGetProcAddress_v2(const struct driver *drv, const char *symbol, void **pfn,
                                  int cuda_version, uint64_t flags,
                                  CUdriverProcAddressQueryResult *symbol_status)
{
    return exchange(drv->cuGetProcAddress_v2(symbol, pfn, cuda_version, flags, symbol_status),
                    symbol, pfn);
}

/* SPDX-License-Identifier: MIT */
/*
 * Memory and events shared with other processes and devices: the simulated cards cannot, and say so
 * in their attributes. What a real driver answers on such a card is answered here, after the
 * arguments have been looked at.
 */
#include "tests/sim/calls.h"
#include "tests/sim/context.h"
#include "tests/sim/memory.h"

static CUresult refuse(bool arguments_are_valid)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    return arguments_are_valid ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuIpcGetMemHandle(CUipcMemHandle *p_handle, CUdeviceptr dptr)
{
    return refuse(p_handle && ranges_find(&allocations, dptr));
}

CUresult sim_cuIpcOpenMemHandle(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int flags)
{
    return refuse(pdptr && flags == CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
}

CUresult sim_cuIpcOpenMemHandle_v2(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int flags)
{
    return sim_cuIpcOpenMemHandle(pdptr, handle, flags);
}

CUresult sim_cuIpcCloseMemHandle(CUdeviceptr dptr)
{
    return refuse(dptr);
}

CUresult sim_cuIpcGetEventHandle(CUipcEventHandle *p_handle, CUevent event)
{
    return refuse(p_handle && handle_is(event, HANDLE_EVENT));
}

CUresult sim_cuIpcOpenEventHandle(CUevent *ph_event, CUipcEventHandle handle)
{
    return refuse(ph_event);
}

/* Memory can only be exported as what it was created for, and none is. */
CUresult sim_cuMemExportToShareableHandle(void *shareable_handle,
                                          CUmemGenericAllocationHandle handle,
                                          CUmemAllocationHandleType handle_type,
                                          unsigned long long flags)
{
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *os_handle,
                                            CUmemAllocationHandleType sh_handle_type)
{
    return handle && sh_handle_type ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuMemGetHandleForAddressRange(void *handle, CUdeviceptr dptr, size_t size,
                                           CUmemRangeHandleType handle_type,
                                           unsigned long long flags)
{
    return refuse(handle && size && mmu_holds(dptr) &&
                  handle_type == CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD);
}

CUresult sim_cuMemPoolExportToShareableHandle(void *handle_out, CUmemoryPool pool,
                                              CUmemAllocationHandleType handle_type,
                                              unsigned long long flags)
{
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuMemPoolImportFromShareableHandle(CUmemoryPool *pool_out, void *handle,
                                                CUmemAllocationHandleType handle_type,
                                                unsigned long long flags)
{
    return pool_out && handle_type && !flags ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuMemPoolExportPointer(CUmemPoolPtrExportData *share_data_out, CUdeviceptr ptr)
{
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuMemPoolImportPointer(CUdeviceptr *ptr_out, CUmemoryPool pool,
                                    CUmemPoolPtrExportData *share_data)
{
    return CUDA_ERROR_INVALID_VALUE;
}

/* SPDX-License-Identifier: MIT */
/*
 * Nodes of graphs whose parameters are said differently here and in the driver.
 *
 * A kernel is the address of its stub here and a CUkernel there. Copies and memsets need a context
 * there, the current one.
 */
#include "tests/cudart/calls.h"

static cudaError_t kernel_to_driver(const struct cudaKernelNodeParams *params,
                                    CUDA_KERNEL_NODE_PARAMS *out)
{
    CUkernel kernel = NULL;
    cudaError_t error = params ? image_kernel(params->func, &kernel) : cudaErrorInvalidValue;

    if (error)
        return error;
    *out = (CUDA_KERNEL_NODE_PARAMS){
        .kern = kernel,
        .gridDimX = params->gridDim.x,
        .gridDimY = params->gridDim.y,
        .gridDimZ = params->gridDim.z,
        .blockDimX = params->blockDim.x,
        .blockDimY = params->blockDim.y,
        .blockDimZ = params->blockDim.z,
        .sharedMemBytes = params->sharedMemBytes,
        .kernelParams = params->kernelParams,
        .extra = params->extra,
    };
    return cudaSuccess;
}

cudaError_t call_cudaGraphAddKernelNode(const struct driver_table *drv, cudaGraphNode_t *node,
                                        cudaGraph_t graph, const cudaGraphNode_t *dependencies,
                                        size_t count, const struct cudaKernelNodeParams *params)
{
    CUDA_KERNEL_NODE_PARAMS driver_params;
    cudaError_t error = kernel_to_driver(params, &driver_params);

    if (error)
        return error;
    return error_of(drv->cuGraphAddKernelNode_v2(node, graph, dependencies, count, &driver_params));
}

/* A kernel that no stub stands for is given as the driver's handle. */
cudaError_t call_cudaGraphKernelNodeGetParams(const struct driver_table *drv, cudaGraphNode_t node,
                                              struct cudaKernelNodeParams *params)
{
    CUDA_KERNEL_NODE_PARAMS got = {0};
    const void *host = NULL;
    CUresult res;

    if (!params)
        return cudaErrorInvalidValue;
    res = drv->cuGraphKernelNodeGetParams_v2(node, &got);
    if (res)
        return error_of(res);
    if (got.kern)
        host = image_host_function(got.kern);
    if (!host && got.func)
        host = image_host_of_function(got.func);
    if (!host)
        host = got.kern ? (const void *)got.kern : (const void *)got.func;
    *params = (struct cudaKernelNodeParams){
        .func = (void *)host,
        .gridDim = {got.gridDimX, got.gridDimY, got.gridDimZ},
        .blockDim = {got.blockDimX, got.blockDimY, got.blockDimZ},
        .sharedMemBytes = got.sharedMemBytes,
        .kernelParams = got.kernelParams,
        .extra = got.extra,
    };
    return cudaSuccess;
}

cudaError_t call_cudaGraphKernelNodeSetParams(const struct driver_table *drv, cudaGraphNode_t node,
                                              const struct cudaKernelNodeParams *params)
{
    CUDA_KERNEL_NODE_PARAMS driver_params;
    cudaError_t error = kernel_to_driver(params, &driver_params);

    return error ? error : error_of(drv->cuGraphKernelNodeSetParams_v2(node, &driver_params));
}

cudaError_t call_cudaGraphExecKernelNodeSetParams(const struct driver_table *drv,
                                                  cudaGraphExec_t exec, cudaGraphNode_t node,
                                                  const struct cudaKernelNodeParams *params)
{
    CUDA_KERNEL_NODE_PARAMS driver_params;
    cudaError_t error = kernel_to_driver(params, &driver_params);

    if (error)
        return error;
    return error_of(drv->cuGraphExecKernelNodeSetParams_v2(exec, node, &driver_params));
}

static CUcontext current_context(const struct driver_table *drv)
{
    CUcontext context = NULL;

    return drv->cuCtxGetCurrent(&context) ? NULL : context;
}

cudaError_t call_cudaGraphAddMemcpyNode(const struct driver_table *drv, cudaGraphNode_t *node,
                                        cudaGraph_t graph, const cudaGraphNode_t *dependencies,
                                        size_t count, const struct cudaMemcpy3DParms *params)
{
    CUDA_MEMCPY3D box;
    cudaError_t error = copy_box(params, &box);

    if (error)
        return error;
    return error_of(
        drv->cuGraphAddMemcpyNode(node, graph, dependencies, count, &box, current_context(drv)));
}

static enum cudaMemcpyKind kind_of(CUmemorytype from, CUmemorytype to)
{
    if (from == CU_MEMORYTYPE_UNIFIED || to == CU_MEMORYTYPE_UNIFIED)
        return cudaMemcpyDefault;
    if (from == CU_MEMORYTYPE_HOST)
        return to == CU_MEMORYTYPE_HOST ? cudaMemcpyHostToHost : cudaMemcpyHostToDevice;
    return to == CU_MEMORYTYPE_HOST ? cudaMemcpyDeviceToHost : cudaMemcpyDeviceToDevice;
}

cudaError_t call_cudaGraphMemcpyNodeGetParams(const struct driver_table *drv, cudaGraphNode_t node,
                                              struct cudaMemcpy3DParms *params)
{
    CUDA_MEMCPY3D box = {0};
    CUresult res = params ? drv->cuGraphMemcpyNodeGetParams(node, &box) : CUDA_ERROR_INVALID_VALUE;
    bool from_host = box.srcMemoryType == CU_MEMORYTYPE_HOST;
    bool to_host = box.dstMemoryType == CU_MEMORYTYPE_HOST;

    if (res)
        return error_of(res);
    *params = (struct cudaMemcpy3DParms){
        .srcPos = {box.srcXInBytes, box.srcY, box.srcZ},
        .srcPtr = {from_host ? (void *)box.srcHost : (void *)box.srcDevice, box.srcPitch,
                   box.WidthInBytes, box.srcHeight},
        .dstPos = {box.dstXInBytes, box.dstY, box.dstZ},
        .dstPtr = {to_host ? box.dstHost : (void *)box.dstDevice, box.dstPitch, box.WidthInBytes,
                   box.dstHeight},
        .extent = {box.WidthInBytes, box.Height, box.Depth},
        .kind = kind_of(box.srcMemoryType, box.dstMemoryType),
    };
    return cudaSuccess;
}

cudaError_t call_cudaGraphMemcpyNodeSetParams(const struct driver_table *drv, cudaGraphNode_t node,
                                              const struct cudaMemcpy3DParms *params)
{
    CUDA_MEMCPY3D box;
    cudaError_t error = copy_box(params, &box);

    return error ? error : error_of(drv->cuGraphMemcpyNodeSetParams(node, &box));
}

cudaError_t call_cudaGraphExecMemcpyNodeSetParams(const struct driver_table *drv,
                                                  cudaGraphExec_t exec, cudaGraphNode_t node,
                                                  const struct cudaMemcpy3DParms *params)
{
    CUDA_MEMCPY3D box;
    cudaError_t error = copy_box(params, &box);

    if (error)
        return error;
    return error_of(drv->cuGraphExecMemcpyNodeSetParams(exec, node, &box, current_context(drv)));
}

/* One row of bytes as a box. */
static struct cudaMemcpy3DParms line(void *to, const void *from, size_t bytes,
                                     enum cudaMemcpyKind kind)
{
    return (struct cudaMemcpy3DParms){
        .srcPtr = {(void *)from, bytes, bytes, 1},
        .dstPtr = {to, bytes, bytes, 1},
        .extent = {bytes, 1, 1},
        .kind = kind,
    };
}

cudaError_t call_cudaGraphAddMemcpyNode1D(const struct driver_table *drv, cudaGraphNode_t *node,
                                          cudaGraph_t graph, const cudaGraphNode_t *dependencies,
                                          size_t count, void *to, const void *from, size_t bytes,
                                          enum cudaMemcpyKind kind)
{
    struct cudaMemcpy3DParms params = line(to, from, bytes, kind);

    return call_cudaGraphAddMemcpyNode(drv, node, graph, dependencies, count, &params);
}

cudaError_t call_cudaGraphExecMemcpyNodeSetParams1D(const struct driver_table *drv,
                                                    cudaGraphExec_t exec, cudaGraphNode_t node,
                                                    void *to, const void *from, size_t bytes,
                                                    enum cudaMemcpyKind kind)
{
    struct cudaMemcpy3DParms params = line(to, from, bytes, kind);

    return call_cudaGraphExecMemcpyNodeSetParams(drv, exec, node, &params);
}

/* The two structures lie alike. */
static const CUDA_MEMSET_NODE_PARAMS *memset_to_driver(const struct cudaMemsetParams *params)
{
    _Static_assert(sizeof(*params) == sizeof(CUDA_MEMSET_NODE_PARAMS), "memset nodes differ");
    return (const CUDA_MEMSET_NODE_PARAMS *)params;
}

cudaError_t call_cudaGraphAddMemsetNode(const struct driver_table *drv, cudaGraphNode_t *node,
                                        cudaGraph_t graph, const cudaGraphNode_t *dependencies,
                                        size_t count, const struct cudaMemsetParams *params)
{
    return error_of(drv->cuGraphAddMemsetNode(node, graph, dependencies, count,
                                              memset_to_driver(params), current_context(drv)));
}

cudaError_t call_cudaGraphMemsetNodeGetParams(const struct driver_table *drv, cudaGraphNode_t node,
                                              struct cudaMemsetParams *params)
{
    return error_of(drv->cuGraphMemsetNodeGetParams(node, (CUDA_MEMSET_NODE_PARAMS *)params));
}

cudaError_t call_cudaGraphMemsetNodeSetParams(const struct driver_table *drv, cudaGraphNode_t node,
                                              const struct cudaMemsetParams *params)
{
    return error_of(drv->cuGraphMemsetNodeSetParams(node, memset_to_driver(params)));
}

cudaError_t call_cudaGraphExecMemsetNodeSetParams(const struct driver_table *drv,
                                                  cudaGraphExec_t exec, cudaGraphNode_t node,
                                                  const struct cudaMemsetParams *params)
{
    return error_of(drv->cuGraphExecMemsetNodeSetParams(exec, node, memset_to_driver(params),
                                                        current_context(drv)));
}

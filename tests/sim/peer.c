/* SPDX-License-Identifier: MIT */
/*
 * Cards that reach each other's memory. With SIM_PEERS=all every card can be let into every other;
 * with none, copies between cards still work, as a driver stages them, but nothing else does.
 */
#include "tests/sim/calls.h"
#include "tests/sim/context.h"
#include "tests/sim/memory.h"

bool peer_is_possible(int device, int peer)
{
    return device != peer && settings.peers;
}

CUresult sim_cuDeviceCanAccessPeer(int *can_access_peer, CUdevice device, CUdevice peer_dev)
{
    if (!can_access_peer)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device) || !device_is_valid(peer_dev))
        return CUDA_ERROR_INVALID_DEVICE;
    *can_access_peer = peer_is_possible(device, peer_dev);
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice src_device,
                                     CUdevice dst_device)
{
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(src_device) || !device_is_valid(dst_device) || src_device == dst_device)
        return CUDA_ERROR_INVALID_DEVICE;
    switch ((int)attrib) {
    case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
        *value = peer_is_possible(src_device, dst_device);
        return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:
    case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED:
    case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED:
    case CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED:
        *value = 0;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult peer_enter(CUcontext handle, struct context **out, struct context **out_peer)
{
    struct context *peer = (struct context *)handle;
    CUresult res = context_require(out);

    if (res)
        return res;
    if (!handle_is(peer, HANDLE_CONTEXT) || !peer->alive || peer == *out)
        return CUDA_ERROR_INVALID_CONTEXT;
    *out_peer = peer;
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxEnablePeerAccess(CUcontext peer_context, unsigned int flags)
{
    struct context *context;
    struct context *peer;
    CUresult res = peer_enter(peer_context, &context, &peer);

    if (res)
        return res;
    if (flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (!peer_is_possible(context->device, peer->device))
        return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    if (context->peers >> peer->device & 1)
        return CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
    context->peers |= (uint8_t)(1u << peer->device);
    mmu_enable_peer(context->device, peer->device, 1);
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxDisablePeerAccess(CUcontext peer_context)
{
    struct context *context;
    struct context *peer;
    CUresult res = peer_enter(peer_context, &context, &peer);

    if (res)
        return res;
    if (!(context->peers >> peer->device & 1))
        return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
    context->peers &= (uint8_t) ~(1u << peer->device);
    mmu_enable_peer(context->device, peer->device, -1);
    return CUDA_SUCCESS;
}

void peer_forget_context(struct context *context)
{
    for (int device = 0; device < MAX_DEVICES; device++)
        if (context->peers >> device & 1)
            mmu_enable_peer(context->device, device, -1);
    context->peers = 0;
}

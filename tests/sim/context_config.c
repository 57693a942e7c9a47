/* SPDX-License-Identifier: MIT */
/*
 * What can be set and asked of a context besides its being current, and the older and newer ways to
 * make one.
 */
#include "tests/sim/calls.h"
#include "tests/sim/context.h"

CUresult sim_cuCtxCreate_v3(CUcontext *ctx, CUexecAffinityParam *params_array, int num_params,
                            unsigned int flags, CUdevice device)
{
    if (num_params < 0 || (num_params && !params_array))
        return CUDA_ERROR_INVALID_VALUE;
    if (num_params)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    return sim_cuCtxCreate_v2(ctx, flags, device);
}

CUresult sim_cuCtxCreate_v4(CUcontext *ctx, CUctxCreateParams *ctx_create_params,
                            unsigned int flags, CUdevice device)
{
    const CUctxCreateParams none = {0};
    const CUctxCreateParams *params = ctx_create_params ? ctx_create_params : &none;

    if (params->cigParams)
        return params->execAffinityParams ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED;
    return sim_cuCtxCreate_v3(ctx, params->execAffinityParams, params->numExecAffinityParams, flags,
                              device);
}

CUresult sim_cuCtxDestroy(CUcontext ctx)
{
    return sim_cuCtxDestroy_v2(ctx);
}

CUresult sim_cuCtxPushCurrent(CUcontext ctx)
{
    return sim_cuCtxPushCurrent_v2(ctx);
}

CUresult sim_cuCtxPopCurrent(CUcontext *ctx)
{
    return sim_cuCtxPopCurrent_v2(ctx);
}

CUresult sim_cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned int flags)
{
    return sim_cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

/* A handle's context, or the current one for NULL. */
static CUresult named_or_current(CUcontext handle, struct context **out)
{
    struct context *context = (struct context *)handle;

    if (!handle)
        return context_require(out);
    if (!handle_is(context, HANDLE_CONTEXT))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!context->alive)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    *out = context;
    return context->sticky;
}

CUresult sim_cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
    struct context *context;
    CUresult res = device ? named_or_current(ctx, &context) : CUDA_ERROR_INVALID_VALUE;

    if (!res)
        *device = context->device;
    return res;
}

CUresult sim_cuCtxGetId(CUcontext ctx, unsigned long long *ctx_id)
{
    struct context *context;
    CUresult res = ctx_id ? named_or_current(ctx, &context) : CUDA_ERROR_INVALID_VALUE;

    if (!res)
        *ctx_id = context->id;
    return res;
}

CUresult sim_cuCtxSetFlags(unsigned int flags)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (!res && flags & ~(unsigned int)CU_CTX_FLAGS_MASK)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        context->flags = flags;
    return res;
}

/* Preferences that no simulated kernel notices: kept, and told again. */
CUresult sim_cuCtxGetCacheConfig(CUfunc_cache *pconfig)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (!res && !pconfig)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *pconfig = context->cache_config;
    return res;
}

CUresult sim_cuCtxSetCacheConfig(CUfunc_cache config)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (!res && (unsigned int)config > CU_FUNC_CACHE_PREFER_EQUAL)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        context->cache_config = config;
    return res;
}

/* The width of banks is fixed on cards of this generation: setting it has no effect. */
CUresult sim_cuCtxGetSharedMemConfig(CUsharedconfig *p_config)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (!res && !p_config)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *p_config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    return res;
}

CUresult sim_cuCtxSetSharedMemConfig(CUsharedconfig config)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (!res && (unsigned int)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
        res = CUDA_ERROR_INVALID_VALUE;
    return res;
}

CUresult sim_cuCtxResetPersistingL2Cache(void)
{
    struct context *context;

    return context_require(&context);
}

/* What a limit may be: nothing above `most`. */
static const struct {
    CUlimit limit;
    size_t initial;
    size_t most;
} limits[] = {
    {CU_LIMIT_STACK_SIZE, 1024, 512 << 10},
    {CU_LIMIT_PRINTF_FIFO_SIZE, 1 << 20, SIZE_MAX},
    {CU_LIMIT_MALLOC_HEAP_SIZE, 8 << 20, SIZE_MAX},
    {CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH, 2, 24},
    {CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT, 2048, SIZE_MAX},
    {CU_LIMIT_MAX_L2_FETCH_GRANULARITY, 64, 128},
    {CU_LIMIT_PERSISTING_L2_CACHE_SIZE, 0, 0},
};

void context_reset_limits(struct context *context)
{
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        context->limits[limits[i].limit] = limits[i].initial;
}

static CUresult limit_enter(CUlimit limit, struct context **out, size_t *most)
{
    CUresult res = context_require(out);

    if (res)
        return res;
    if ((unsigned int)limit >= CU_LIMIT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (limits[i].limit == limit) {
            *most = limits[i].most;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_UNSUPPORTED_LIMIT;
}

CUresult sim_cuCtxGetLimit(size_t *pvalue, CUlimit limit)
{
    struct context *context;
    size_t most;
    CUresult res = pvalue ? limit_enter(limit, &context, &most) : CUDA_ERROR_INVALID_VALUE;

    if (!res)
        *pvalue = context->limits[limit];
    return res;
}

/* A request is rounded to what the card can do, which asking tells. */
CUresult sim_cuCtxSetLimit(CUlimit limit, size_t value)
{
    struct context *context;
    size_t most;
    CUresult res = limit_enter(limit, &context, &most);

    if (res)
        return res;
    if (limit == CU_LIMIT_STACK_SIZE || limit == CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH) {
        if (value > most)
            return CUDA_ERROR_INVALID_VALUE;
    }
    context->limits[limit] = value < most ? value : most;
    return CUDA_SUCCESS;
}

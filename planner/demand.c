/* SPDX-License-Identifier: MIT */
/*
 * The cache is exact for an architecture that is known; buffers are a formula fitted to what
 * llama.cpp allocates, good to a quarter; the driver's own share is a range that machines have been
 * seen to take.
 */
#include "planner/demand.h"

#include <string.h>

#include "runtime/util.h"

enum {
    CELLS = 256, /* llama.cpp's unit of the cache, in tokens */
    /* Driver context, kernels and library workspaces: 300 to 700 MiB. */
    DRIVER_MIB = 500,
    DRIVER_ERROR_MIB = 200,
    COMPUTE_FLOOR_MIB = 128, /* of the error */
    PIXELS_PER_LATENT = 64,
};

static const struct kv_type kv_types[] = {
#define KV_TYPE(name, numbers, bytes) {name, numbers, bytes},
#include "planner/kv_types.def"
};

const struct kv_type *kv_type_at(size_t index)
{
    return index < ARRAY_SIZE(kv_types) ? &kv_types[index] : NULL;
}

const struct kv_type *kv_type_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(kv_types); i++)
        if (strcmp(kv_types[i].name, name) == 0)
            return &kv_types[i];
    return NULL;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;

    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX / 8
                                                  : min_u64(product, UINT64_MAX / 8);
}

static uint64_t cells(uint64_t tokens)
{
    return align_up(min_u64(tokens, UINT64_MAX / 16), CELLS);
}

static uint64_t kv_bytes(const struct kv_type *type, uint64_t numbers)
{
    return times(numbers, type->bytes) / type->numbers;
}

static uint64_t token_bytes(const struct arch_layer *layer, const struct workload *work)
{
    return kv_bytes(work->keys, (uint64_t)layer->n_kv * layer->key) +
           kv_bytes(work->values, (uint64_t)layer->n_kv * layer->value);
}

uint64_t demand_context(const struct arch *arch, const struct workload *work)
{
    if (work->context)
        return work->context;
    return arch->context ? min_u64(arch->context, WORKLOAD_CONTEXT) : WORKLOAD_CONTEXT;
}

/* Sequences have a part each, or share all cells; a sliding layer then needs its window for each.
 */
static uint64_t cells_of(const struct arch_layer *layer, const struct arch *arch,
                         const struct workload *work, uint64_t context)
{
    uint64_t parts = work->split ? work->batch : 1;
    uint64_t full = cells(context / parts);
    uint64_t window = (uint64_t)arch->window * (work->split ? 1 : work->batch) + work->micro;

    return times(layer->sliding ? cells(min_u64(full, window)) : full, parts);
}

static void judge_cache(const struct arch *arch, const struct workload *work, struct demand *out)
{
    for (uint32_t i = 0; i < arch->n_layers; i++) {
        const struct arch_layer *layer = &arch->layers[i];

        if (layer->n_kv)
            out->cache.bytes +=
                times(cells_of(layer, arch, work, out->context), token_bytes(layer, work));
        out->state.bytes += times(layer->state, 4 * (uint64_t)work->batch);
        out->cache.bytes = min_u64(out->cache.bytes, UINT64_MAX / 8);
        out->state.bytes = min_u64(out->state.bytes, UINT64_MAX / 8);
    }
}

static bool is_quantised(const struct kv_type *type)
{
    return type->numbers > 1;
}

/* Attention's mask grows with the context; a quantised cache is unpacked in parts, which take more.
 */
static uint64_t compute_bytes(const struct arch *arch, const struct workload *work,
                              uint64_t context)
{
    double micro = work->micro;
    double layers =
        1.15 * (16.0 * arch->width * micro + 4.0 * arch->vocabulary * micro * (work->batch - 1.0));
    double per_token = 3.0 * micro;

    if (is_quantised(work->keys) || is_quantised(work->values))
        per_token = (arch->cache == ARCH_CACHE_LATENT ? 1.25 : 2.25) * arch->width;
    return (uint64_t)(layers + per_token * (double)min_u64(context, (uint64_t)1 << 40));
}

void demand_judge(const struct arch *arch, const struct workload *work, struct demand *out)
{
    memset(out, 0, sizeof(*out));
    out->context = demand_context(arch, work);
    out->cache_known = arch->verdict == ARCH_KNOWN;
    if (out->cache_known)
        judge_cache(arch, work, out);
    out->compute.bytes = compute_bytes(arch, work, out->context);
    out->compute.error = max_u64(out->compute.bytes / 4, COMPUTE_FLOOR_MIB * MIB);
    out->driver = (struct term){DRIVER_MIB * MIB, DRIVER_ERROR_MIB * MIB};
}

struct term demand_denoise(const struct workload *work, double factor)
{
    double latents = (double)work->width * work->height / PIXELS_PER_LATENT * work->batch;
    uint64_t bytes = (uint64_t)(latents * 2 * 0.01 * factor * (double)MIB);

    return (struct term){bytes, bytes * 2 / 5};
}

/* Of a convolutional encoder or decoder in 16 bits, which takes so much of a number for each pixel.
 */
static struct term convolve(const struct workload *work, double numbers)
{
    uint64_t bytes = (uint64_t)((double)work->width * work->height * work->batch * numbers * 2);

    return (struct term){bytes, bytes * 2 / 5};
}

struct term demand_decode(const struct workload *work)
{
    return convolve(work, 2178);
}

struct term demand_encode(const struct workload *work)
{
    return convolve(work, 1767);
}

uint64_t demand_token_bytes(const struct arch *arch, const struct workload *work)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < arch->n_layers; i++)
        if (!arch->layers[i].sliding)
            bytes += token_bytes(&arch->layers[i], work);
    return bytes;
}

uint64_t demand_sum(const struct demand *demand, uint64_t *error)
{
    if (error)
        *error = demand->cache.error + demand->state.error + demand->compute.error +
                 demand->driver.error;
    return demand->cache.bytes + demand->state.bytes + demand->compute.bytes + demand->driver.bytes;
}

/* SPDX-License-Identifier: MIT */
/* The kernels of kernels.h for a device that runs PTX. */
#include "tests/cuda/device.cuh"

#define GATHER_SOURCES 7

struct blend_spec {
    uint32_t key;
    uint32_t unused;
    uint8_t *to;
    uint64_t n;
    const uint8_t *left;
    const uint8_t *right;
};

DEVICE_FN uint8_t mix_byte(uint8_t to, uint8_t from, uint32_t key)
{
    return (uint8_t)(to * 5 + from + key);
}

DEVICE_FN uint64_t stride()
{
    return gridDim.x * blockDim.x;
}

KERNEL mix(uint8_t *to, const uint8_t *from, uint64_t n, uint32_t key)
{
    for (uint64_t i = global_index(); i < n; i += stride())
        to[i] = mix_byte(to[i], from[i], key);
}

KERNEL blend(blend_spec spec)
{
    for (uint64_t i = global_index(); i < spec.n; i += stride())
        spec.to[i] = (uint8_t)((spec.to[i] ^ spec.left[i]) + spec.right[i] * 3 + spec.key);
}

KERNEL gather(uint8_t *to, const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d,
              const uint8_t *e, const uint8_t *f, const uint8_t *g, uint64_t n, uint32_t key)
{
    for (uint64_t i = global_index(); i < n; i += stride()) {
        uint8_t byte = to[i];

        byte = mix_byte(byte, a[i], key);
        byte = mix_byte(byte, b[i], key);
        byte = mix_byte(byte, c[i], key);
        byte = mix_byte(byte, d[i], key);
        byte = mix_byte(byte, e[i], key);
        byte = mix_byte(byte, f[i], key);
        to[i] = mix_byte(byte, g[i], key);
    }
}

KERNEL hidden(uint8_t *const *table, uint64_t count, uint64_t n, uint32_t key)
{
    for (uint64_t entry = 0; entry < count; entry++)
        for (uint64_t i = global_index(); i < n; i += stride())
            table[entry][i] = (uint8_t)(table[entry][i] * 3 + entry + key);
}

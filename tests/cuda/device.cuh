/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The little of CUDA C that our test kernels need, so that they build with plain clang and no file
 * of any toolkit. Compile one .cu file to PTX with
 *
 *   clang -x cuda --cuda-device-only -nocudainc -nocudalib --cuda-gpu-arch=sm_75 -O2 -S \
 *         -std=c++17 -Xclang -target-feature -Xclang +ptx70 -I <top of the tree> \
 *         kernels.cu -o kernels.ptx
 *
 * (tests/cuda/meson.build has that line for meson.) A kernel file is
 *
 *   #include "tests/cuda/device.cuh"
 *   KERNEL add(float *out, const float *in, unsigned n) { ... }
 *
 * KERNEL is `extern "C" __global__ void`: the PTX name is then the C name. Pointers given to a kernel
 * are global ones. Dynamic shared memory is `extern __shared__ float buffer[];`. Only compile-time
 * constant initialisers are allowed for __device__ and __constant__ variables.
 *
 * Products and sums are contracted to fma by default, as in nvcc. Functions whose name starts with
 * two underscores are the fast, approximate ones of the hardware; the others are rounded to nearest,
 * or built here from the hardware's.
 */

#define __global__        __attribute__((global))
#define __device__        __attribute__((device))
#define __shared__        __attribute__((shared))
#define __constant__      __attribute__((constant))
#define __forceinline__   __inline__ __attribute__((always_inline))
#define __noinline__      __attribute__((noinline))
#define __restrict__      __restrict
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))

#define KERNEL     extern "C" __global__ void
#define DEVICE_FN  static __device__ __forceinline__
#define WARP_LANES 32
#define ALL_LANES  0xffffffffu

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef unsigned long size_t;

#define SREG3(type_name, sreg)                                                                     \
    struct type_name {                                                                             \
        __declspec(property(get = get_x)) unsigned x;                                              \
        __declspec(property(get = get_y)) unsigned y;                                              \
        __declspec(property(get = get_z)) unsigned z;                                              \
        static __device__ __forceinline__ unsigned get_x()                                         \
        {                                                                                          \
            return __nvvm_read_ptx_sreg_##sreg##_x();                                              \
        }                                                                                          \
        static __device__ __forceinline__ unsigned get_y()                                         \
        {                                                                                          \
            return __nvvm_read_ptx_sreg_##sreg##_y();                                              \
        }                                                                                          \
        static __device__ __forceinline__ unsigned get_z()                                         \
        {                                                                                          \
            return __nvvm_read_ptx_sreg_##sreg##_z();                                              \
        }                                                                                          \
    }
SREG3(sreg_thread_index, tid);
SREG3(sreg_block_index, ctaid);
SREG3(sreg_block_size, ntid);
SREG3(sreg_grid_size, nctaid);
#undef SREG3
extern const __device__ sreg_thread_index threadIdx;
extern const __device__ sreg_block_index blockIdx;
extern const __device__ sreg_block_size blockDim;
extern const __device__ sreg_grid_size gridDim;

/* One load or store of 8 or 16 bytes. */
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(16) int4 {
    int32_t x, y, z, w;
};

DEVICE_FN unsigned global_index()
{
    return blockIdx.x * blockDim.x + threadIdx.x;
}

DEVICE_FN unsigned lane_index()
{
    return __nvvm_read_ptx_sreg_laneid();
}

DEVICE_FN void __syncwarp()
{
    __nvvm_bar_warp_sync(ALL_LANES);
}

DEVICE_FN void __threadfence()
{
    __nvvm_membar_gl();
}

DEVICE_FN void __trap()
{
    __builtin_trap();
}

/* Bits, and raw 16-bit floats. A `uint16_t` holds f16 or bf16 bits; see half_to_float. */
DEVICE_FN uint32_t float_bits(float x)
{
    return __builtin_bit_cast(uint32_t, x);
}

DEVICE_FN float bits_float(uint32_t x)
{
    return __builtin_bit_cast(float, x);
}

DEVICE_FN float half_to_float(uint16_t bits)
{
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}

DEVICE_FN uint16_t float_to_half(float x)
{
    uint16_t bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

DEVICE_FN float bfloat_to_float(uint16_t bits)
{
    return bits_float((uint32_t)bits << 16);
}

/* Rounds to nearest even; a NaN stays one. */
DEVICE_FN uint16_t float_to_bfloat(float x)
{
    uint32_t bits = float_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* Warp shuffles of the whole warp (every lane must take part), and reductions made of them. */
DEVICE_FN float __shfl_xor_sync(uint32_t mask, float x, unsigned lane_mask)
{
    return __nvvm_shfl_sync_bfly_f32(mask, x, lane_mask, 0x1f);
}

DEVICE_FN int __shfl_xor_sync(uint32_t mask, int x, unsigned lane_mask)
{
    return __nvvm_shfl_sync_bfly_i32(mask, x, lane_mask, 0x1f);
}

DEVICE_FN float __shfl_down_sync(uint32_t mask, float x, unsigned delta)
{
    return __nvvm_shfl_sync_down_f32(mask, x, delta, 0x1f);
}

DEVICE_FN int __shfl_down_sync(uint32_t mask, int x, unsigned delta)
{
    return __nvvm_shfl_sync_down_i32(mask, x, delta, 0x1f);
}

DEVICE_FN float __shfl_up_sync(uint32_t mask, float x, unsigned delta)
{
    return __nvvm_shfl_sync_up_f32(mask, x, delta, 0);
}

DEVICE_FN float __shfl_sync(uint32_t mask, float x, unsigned lane)
{
    return __nvvm_shfl_sync_idx_f32(mask, x, lane, 0x1f);
}

DEVICE_FN int __shfl_sync(uint32_t mask, int x, unsigned lane)
{
    return __nvvm_shfl_sync_idx_i32(mask, x, lane, 0x1f);
}

DEVICE_FN unsigned __ballot_sync(uint32_t mask, bool predicate)
{
    return __nvvm_vote_ballot_sync(mask, predicate);
}

DEVICE_FN bool __any_sync(uint32_t mask, bool predicate)
{
    return __nvvm_vote_any_sync(mask, predicate);
}

DEVICE_FN bool __all_sync(uint32_t mask, bool predicate)
{
    return __nvvm_vote_all_sync(mask, predicate);
}

/* Integers. */
DEVICE_FN int min(int a, int b)
{
    return a < b ? a : b;
}

DEVICE_FN int max(int a, int b)
{
    return a > b ? a : b;
}

DEVICE_FN int __popc(uint32_t x)
{
    return __builtin_popcount(x);
}

DEVICE_FN int __clz(uint32_t x)
{
    return x ? __builtin_clz(x) : 32;
}

/* sum + a.0*b.0 + a.1*b.1 + a.2*b.2 + a.3*b.3 of signed bytes */
DEVICE_FN int __dp4a(int a, int b, int sum)
{
    int result;
    asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* Floats. */
DEVICE_FN float fminf(float a, float b)
{
    return __nvvm_fmin_f(a, b);
}

DEVICE_FN float fmaxf(float a, float b)
{
    return __nvvm_fmax_f(a, b);
}

DEVICE_FN float fabsf(float x)
{
    return __builtin_fabsf(x);
}

DEVICE_FN float fmaf(float a, float b, float c)
{
    return __nvvm_fma_rn_f(a, b, c);
}

DEVICE_FN float sqrtf(float x)
{
    return __nvvm_sqrt_rn_f(x);
}

DEVICE_FN float rsqrtf(float x)
{
    return __nvvm_rsqrt_approx_f(x);
}

DEVICE_FN float floorf(float x)
{
    return __nvvm_floor_f(x);
}

/* To the nearest integer, halves away from zero. */
DEVICE_FN float roundf(float x)
{
    float rounded = __nvvm_trunc_f(fabsf(x) + 0.5f);
    if (fabsf(x) >= 8388608.0f || fabsf(x) == 0.49999997f)
        rounded = __nvvm_trunc_f(fabsf(x));
    return __builtin_copysignf(rounded, x);
}

DEVICE_FN float __exp2f(float x)
{
    return __nvvm_ex2_approx_f(x);
}

DEVICE_FN float __log2f(float x)
{
    return __nvvm_lg2_approx_f(x);
}

DEVICE_FN float __expf(float x)
{
    return __exp2f(x * 1.4426950408889634f);
}

DEVICE_FN float __logf(float x)
{
    return __log2f(x) * 0.6931471805599453f;
}

DEVICE_FN float __powf(float x, float y)
{
    return __exp2f(y * __log2f(x));
}

DEVICE_FN float __sinf(float x)
{
    return __nvvm_sin_approx_f(x);
}

DEVICE_FN float __cosf(float x)
{
    return __nvvm_cos_approx_f(x);
}

DEVICE_FN float __fdividef(float a, float b)
{
    return __nvvm_div_approx_f(a, b);
}

/* e^x to 2 units in the last place: the argument of 2^x is split into an integer and a remainder. */
DEVICE_FN float expf(float x)
{
    float whole = __nvvm_floor_f(fmaf(x, 1.4426950408889634f, 0.5f));
    float rest = fmaf(whole, -0.693145751953125f, x);
    rest = fmaf(whole, -1.428606765330187e-6f, rest);
    if (!(x > -104.0f))
        return x != x ? x : 0.0f;
    if (x > 88.8f)
        return bits_float(0x7f800000u);
    /* 2^whole alone may leave the range of a float where the product does not. */
    float low = __nvvm_floor_f(whole * 0.5f);
    return __exp2f(rest * 1.4426950408889634f) * __exp2f(low) * __exp2f(whole - low);
}

DEVICE_FN float logf(float x)
{
    return __logf(x);
}

/* Angle brought near zero in three fused steps before the hardware's sine: good for |x| < 1e5. */
DEVICE_FN float turn_rest(float x)
{
    float turns = __nvvm_floor_f(fmaf(x, 0.15915494309189535f, 0.5f));
    x = fmaf(turns, -6.28125f, x);
    x = fmaf(turns, -0.0019350051879882812f, x);
    return fmaf(turns, -3.019916050561733e-7f, x);
}

DEVICE_FN float sinf(float x)
{
    return __sinf(turn_rest(x));
}

DEVICE_FN float cosf(float x)
{
    return __cosf(turn_rest(x));
}

DEVICE_FN float tanhf(float x)
{
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Gauss error function, absolute error below 5e-7: a continued polynomial times e^-x². */
DEVICE_FN float erff(float x)
{
    float a = fabsf(x);
    float t = __nvvm_rcp_rn_f(fmaf(0.5f, a, 1.0f));
    float p = fmaf(t, 0.17087277f, -0.82215223f);
    p = fmaf(t, p, 1.48851587f);
    p = fmaf(t, p, -1.13520398f);
    p = fmaf(t, p, 0.27886807f);
    p = fmaf(t, p, -0.18628806f);
    p = fmaf(t, p, 0.09678418f);
    p = fmaf(t, p, 0.37409196f);
    p = fmaf(t, p, 1.00002368f);
    p = fmaf(t, p, -1.26551223f);
    return __builtin_copysignf(1.0f - t * expf(p - a * a), x);
}

/* Atomics on global or shared memory; each returns the old value. */
DEVICE_FN float atomicAdd(float *at, float x)
{
    return __nvvm_atom_add_gen_f(at, x);
}

DEVICE_FN int atomicAdd(int *at, int x)
{
    return __nvvm_atom_add_gen_i(at, x);
}

DEVICE_FN unsigned atomicAdd(unsigned *at, unsigned x)
{
    return (unsigned)__nvvm_atom_add_gen_i((int *)at, (int)x);
}

DEVICE_FN int atomicMax(int *at, int x)
{
    return __nvvm_atom_max_gen_i(at, x);
}

DEVICE_FN int atomicCAS(int *at, int expected, int x)
{
    return __nvvm_atom_cas_gen_i(at, expected, x);
}

/* The sum, or largest, of one value per lane, in every lane. */
DEVICE_FN float warp_sum(float x)
{
    for (unsigned step = WARP_LANES / 2; step; step /= 2)
        x += __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}

DEVICE_FN float warp_max(float x)
{
    for (unsigned step = WARP_LANES / 2; step; step /= 2)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, step));
    return x;
}

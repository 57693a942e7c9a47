/* SPDX-License-Identifier: MIT */
/* One kernel whose layout depends on the architecture, to tell the entries of a fatbin apart. */

#if __CUDA_ARCH__ >= 900
extern "C" __global__ void pair(float *out, int n)
#else
extern "C" __global__ void pair(float *out, int n, float *more)
#endif
{
}

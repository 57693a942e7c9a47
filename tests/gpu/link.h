/* SPDX-License-Identifier: MIT */
#pragma once

#include <cuda.h>
#include <stdint.h>

/* The best of three copies between mapped or device memory, in GB/s (10^9). */
double link_rate(CUstream stream, CUdeviceptr to, CUdeviceptr from, uint64_t bytes);

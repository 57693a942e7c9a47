/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The part of NVML's interface that this project stands in for; nvml.h is not needed to build.
 */

#define NVML_UUID_TEXT_BYTES 96

/* What a call answers; values beyond these are passed on unread. */
enum nvml_result {
    NVML_RESULT_SUCCESS = 0,
    NVML_RESULT_UNINITIALIZED = 1,
    NVML_RESULT_FUNCTION_NOT_FOUND = 13,
};

struct nvml_device;

struct nvml_memory {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
};

struct nvml_memory_v2 {
    unsigned int version; /* set by the caller: size of this structure | 2 << 24 */
    unsigned long long total;
    unsigned long long reserved; /* by the driver; in `total`, in neither of the others */
    unsigned long long free;
    unsigned long long used;
};

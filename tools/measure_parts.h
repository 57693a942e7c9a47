/* SPDX-License-Identifier: MIT */
#pragma once

/* The parts of measure.h: inside of it. What a part holds of the driver's when it fails is given
 * back when the process ends. */

#include "tools/measure.h"

struct meter {
    const struct gpu *gpu;
    const struct measure_options *options;
    struct measured *out;
    uint64_t bytes; /* of a copy, a power of two */
    CUstream stream;
    CUstream beside; /* another one; neither waits for the default stream */
    CUevent begin, end;
    CUmodule module;
    CUfunction read;
    CUdeviceptr sink; /* where a kernel would write, which it never does */
};

/* Returns from the part when the call fails, and says which. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        CUresult result_ = meter->gpu->cu.call;                                                    \
                                                                                                   \
        if (result_ != CUDA_SUCCESS)                                                               \
            return meter_failed(meter, #call, result_);                                            \
    } while (0)
int meter_failed(const struct meter *meter, const char *call, CUresult result);

/* Nanoseconds from meter->begin to meter->end, both recorded in `stream`, which is waited for. */
int meter_elapsed(const struct meter *meter, double *ns);

__attribute__((format(printf, 5, 6))) void meter_note(struct meter *meter, const char *group,
                                                      const char *unit, double value,
                                                      const char *what, ...);
/* Tells the profile a whole number; what is not above zero is not told. */
#define METER_TELL(meter, key, value)                                                              \
    meter_tell(meter, PROFILE_##key, &(meter)->out->profile.key, value)
void meter_tell(struct meter *meter, enum profile_key key, uint64_t *field, double value);

double meter_median(double *values, unsigned int n);
/* The machine's clock. */
uint64_t meter_now_ns(void);

/* How the kernel goes through memory. */
struct reading {
    CUdeviceptr at;
    uint64_t units;      /* of 16 bytes that lie there; a power of two */
    uint64_t loads;      /* of such units, by all threads together */
    uint64_t multiplier; /* odd; 1 is in order */
    uint32_t shift;      /* so many units, as a power of two, stay together */
};
/* Queues it. */
int meter_read(const struct meter *meter, CUstream stream, const struct reading *reading);
/* Loads in a nanosecond, without what a launch costs by itself. */
int meter_reading(const struct meter *meter, struct reading reading, double *loads_per_ns);

/* Each 0, or -errno when it could not be measured. */
int measure_link(struct meter *meter);
int measure_reads(struct meter *meter);
int measure_launches(struct meter *meter);
int measure_mapping(struct meter *meter);
int measure_allocating(struct meter *meter);
int measure_host_memory(struct meter *meter);
int measure_disk(struct meter *meter);

/* SPDX-License-Identifier: MIT */
/*
 * One part after the other, each of which notes its figures and tells the profile what follows from
 * them. A part that has been begun is finished; none takes more than a few seconds on a card.
 */
#include "tools/measure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/util.h"
#include "tools/measure_parts.h"

enum {
    COPY_MOST_MIB = 256,
    SHARE_OF_CARD = 8, /* of what is free on it, for one of several buffers */
};

static const struct part {
    const char *name;
    int (*measure)(struct meter *meter);
    bool needs_card;
} parts[] = {
    {"the link", measure_link, true},         {"reading by kernels", measure_reads, true},
    {"launches", measure_launches, true},     {"mapping", measure_mapping, true},
    {"allocating", measure_allocating, true}, {"host memory", measure_host_memory, false},
    {"the disk", measure_disk, false},
};

static void tell(const struct measure_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void tell(const struct measure_options *options, const char *format, ...)
{
    char text[256];
    va_list args;

    if (!options->tell)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    options->tell(text);
}

int meter_failed(const struct meter *meter, const char *call, CUresult result)
{
    tell(meter->options, "%.*s: %s", (int)strcspn(call, "("), call,
         driver_error_name(&meter->gpu->drv, result));
    return result == CUDA_ERROR_OUT_OF_MEMORY ? -ENOMEM : -EIO;
}

int meter_elapsed(const struct meter *meter, double *ns)
{
    float ms;

    TRY(cuEventSynchronize(meter->end));
    TRY(cuEventElapsedTime(&ms, meter->begin, meter->end));
    *ns = (double)ms * 1e6;
    return 0;
}

void meter_note(struct meter *meter, const char *group, const char *unit, double value,
                const char *what, ...)
{
    struct measured *out = meter->out;
    struct point *point = &out->points[out->n];
    va_list args;

    if (out->n == ARRAY_SIZE(out->points))
        return;
    va_start(args, what);
    vsnprintf(point->what, sizeof(point->what), what, args);
    va_end(args);
    point->group = group;
    point->unit = unit;
    point->value = value;
    out->n++;
}

void meter_tell(struct meter *meter, enum profile_key key, uint64_t *field, double value)
{
    if (!(value >= 0.5))
        return;
    *field = (uint64_t)(value + 0.5);
    profile_tell(&meter->out->profile, key);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double meter_median(double *values, unsigned int n)
{
    qsort(values, n, sizeof(*values), by_value);
    return values[n / 2];
}

uint64_t meter_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int open_card(struct meter *meter)
{
    uint64_t most = meter->options->bytes ? meter->options->bytes : COPY_MOST_MIB * MIB;

    most = min_u64(most, meter->gpu->free / SHARE_OF_CARD);
    for (meter->bytes = MIB; meter->bytes * 2 <= most; meter->bytes *= 2)
        ;
    TRY(cuStreamCreate(&meter->stream, CU_STREAM_NON_BLOCKING));
    TRY(cuStreamCreate(&meter->beside, CU_STREAM_NON_BLOCKING));
    TRY(cuEventCreate(&meter->begin, CU_EVENT_DEFAULT));
    TRY(cuEventCreate(&meter->end, CU_EVENT_DEFAULT));
    TRY(cuModuleLoadData(&meter->module, measure_kernel_text));
    TRY(cuModuleGetFunction(&meter->read, meter->module, "vramshim_read"));
    TRY(cuMemAlloc_v2(&meter->sink, 16));
    return 0;
}

static void describe(const struct gpu *gpu, struct profile *profile)
{
    snprintf(profile->name, sizeof(profile->name), "%s", gpu->name);
    snprintf(profile->driver, sizeof(profile->driver), "%d.%d", gpu->version / 1000,
             gpu->version % 1000 / 10);
    profile->memory = gpu->total;
    profile->compute_major = (uint64_t)gpu->major;
    profile->compute_minor = (uint64_t)gpu->minor;
    if (*profile->name)
        profile_tell(profile, PROFILE_name);
    profile_tell(profile, PROFILE_driver);
    profile_tell(profile, PROFILE_memory);
    profile_tell(profile, PROFILE_compute_major);
    profile_tell(profile, PROFILE_compute_minor);
}

static void date(struct profile *profile)
{
    time_t now = time(NULL);
    struct tm day;

    gmtime_r(&now, &day);
    strftime(profile->measured, sizeof(profile->measured), "%Y-%m-%d", &day);
    profile_tell(profile, PROFILE_measured);
}

void measure_machine(const struct gpu *gpu, const struct measure_options *options,
                     struct measured *out)
{
    uint64_t last = meter_now_ns() + options->seconds * (uint64_t)1000000000;
    struct meter meter = {.gpu = gpu, .options = options, .out = out};
    bool has_card = false;

    memset(out, 0, sizeof(*out));
    date(&out->profile);
    if (gpu) {
        describe(gpu, &out->profile);
        has_card = open_card(&meter) == 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        bool late = meter_now_ns() >= last;

        if (parts[i].needs_card && !gpu)
            continue;
        if (!late)
            tell(options, "measuring %s", parts[i].name);
        if (late || (parts[i].needs_card && !has_card) || parts[i].measure(&meter)) {
            tell(options, "%s: left out%s", parts[i].name, late ? ", no time is left" : "");
            out->left_out++;
        }
    }
    if (meter.module)
        (void)gpu->cu.cuModuleUnload(meter.module);
}

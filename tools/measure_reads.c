/* SPDX-License-Identifier: MIT */
/*
 * What kernels read of memory: of the card's own, and of host memory that is mapped where they
 * look, by how much of it they read and in which order. And what a launch costs.
 *
 * The kernel goes over a power of two of units of 16 bytes as often as it is told. Of the number of
 * a load, all but the lowest `shift` bits are multiplied by an odd number, which scatters lines of
 * so many units over all that there is and leaves none out. What it reads is added up, and would be
 * written if it were a value that never comes, so that no compiler may leave it out.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/measure_parts.h"

enum {
    THREADS = 256,
    BLOCKS_PER_PROCESSOR = 8,
    UNROLLED = 4,
    UNIT_BYTES = 16,
    TIMES = 3,
    LAUNCHES = 8,
    LAUNCH_TIMES = 3,
    LEAST_MIB = 2, /* of host memory that is read, */
    GROWTH = 16,   /* and the factor to the next more */
};

#define SCATTER 0x9e3779b97f4a7c15 /* odd */

/* One load of the unrolled four, into %low and %high. */
#define LOAD(low, high)                                                                            \
    "    shr.b64 %line, %load, %shift;\n"                                                          \
    "    mul.lo.u64 %line, %line, %multiplier;\n"                                                  \
    "    shl.b64 %line, %line, %shift;\n"                                                          \
    "    and.b64 %inside, %load, %low_bits;\n"                                                     \
    "    or.b64 %line, %line, %inside;\n"                                                          \
    "    and.b64 %line, %line, %mask;\n"                                                           \
    "    shl.b64 %line, %line, 4;\n"                                                               \
    "    add.u64 %line, %line, %at;\n"                                                             \
    "    ld.global.v2.u64 {" low ", " high "}, [%line];\n"                                         \
    "    add.u64 %load, %load, %stride;\n"

const char measure_kernel_text[] =
    ".version 5.0\n"
    ".target sm_50\n"
    ".address_size 64\n"
    ".visible .entry vramshim_read(\n"
    "    .param .u64 at, .param .u64 units, .param .u64 loads, .param .u64 multiplier,\n"
    "    .param .u64 shift, .param .u64 sink)\n"
    "{\n"
    "    .reg .pred %done;\n"
    "    .reg .b32 %thread, %threads, %block, %blocks, %shift;\n"
    "    .reg .b64 %at, %mask, %loads, %multiplier, %wide_shift, %sink, %load, %stride;\n"
    "    .reg .b64 %line, %inside, %low_bits, %total;\n"
    "    .reg .b64 %a, %b, %c, %d, %e, %f, %g, %h;\n"
    "    ld.param.u64 %at, [at];\n"
    "    ld.param.u64 %mask, [units];\n"
    "    ld.param.u64 %loads, [loads];\n"
    "    ld.param.u64 %multiplier, [multiplier];\n"
    "    ld.param.u64 %wide_shift, [shift];\n"
    "    ld.param.u64 %sink, [sink];\n"
    "    cvt.u32.u64 %shift, %wide_shift;\n"
    "    sub.u64 %mask, %mask, 1;\n"
    "    mov.u64 %low_bits, 1;\n"
    "    shl.b64 %low_bits, %low_bits, %shift;\n"
    "    sub.u64 %low_bits, %low_bits, 1;\n"
    "    mov.u32 %thread, %tid.x;\n"
    "    mov.u32 %threads, %ntid.x;\n"
    "    mov.u32 %block, %ctaid.x;\n"
    "    mov.u32 %blocks, %nctaid.x;\n"
    "    mad.lo.u32 %thread, %block, %threads, %thread;\n"
    "    mul.lo.u32 %threads, %threads, %blocks;\n"
    "    cvt.u64.u32 %load, %thread;\n"
    "    cvt.u64.u32 %stride, %threads;\n"
    "    mov.u64 %total, 0;\n"
    "next:\n"
    "    setp.ge.u64 %done, %load, %loads;\n"
    "    @%done bra over;\n" LOAD("%a", "%b") LOAD("%c", "%d") LOAD("%e", "%f")
        LOAD("%g", "%h") "    xor.b64 %a, %a, %b;\n"
                         "    xor.b64 %c, %c, %d;\n"
                         "    xor.b64 %e, %e, %f;\n"
                         "    xor.b64 %g, %g, %h;\n"
                         "    add.u64 %a, %a, %c;\n"
                         "    add.u64 %e, %e, %g;\n"
                         "    add.u64 %total, %total, %a;\n"
                         "    add.u64 %total, %total, %e;\n"
                         "    bra next;\n"
                         "over:\n"
                         "    setp.ne.u64 %done, %total, 0x5ca1ab1ef01dab1e;\n"
                         "    @%done bra end;\n"
                         "    st.global.u64 [%sink], %total;\n"
                         "end:\n"
                         "    ret;\n"
                         "}\n";

/* Enough to fill the card, or as many as there is work for. */
static unsigned int blocks_of(const struct meter *meter, uint64_t loads)
{
    uint64_t most =
        (uint64_t)(meter->gpu->processors > 0 ? meter->gpu->processors : 1) * BLOCKS_PER_PROCESSOR;

    return (unsigned int)max_u64(1, min_u64(most, loads / (THREADS * UNROLLED)));
}

int meter_read(const struct meter *meter, CUstream stream, const struct reading *reading)
{
    uint64_t shift = reading->shift;
    struct reading r = *reading;
    CUdeviceptr sink = meter->sink;
    void *arguments[] = {&r.at, &r.units, &r.loads, &r.multiplier, &shift, &sink};

    TRY(cuLaunchKernel(meter->read, blocks_of(meter, r.loads), 1, 1, THREADS, 1, 1, 0, stream,
                       arguments, NULL));
    return 0;
}

static int time_reading(const struct meter *meter, const struct reading *reading, double *ns)
{
    int r;

    TRY(cuEventRecord(meter->begin, meter->stream));
    r = meter_read(meter, meter->stream, reading);
    TRY(cuEventRecord(meter->end, meter->stream));
    return r ? r : meter_elapsed(meter, ns);
}

/* The difference between a launch and one that does three times as much. */
int meter_reading(const struct meter *meter, struct reading reading, double *loads_per_ns)
{
    uint64_t all_at_once = (uint64_t)blocks_of(meter, reading.loads) * THREADS * UNROLLED;
    struct reading more;
    double rates[TIMES];
    double ns, more_ns;
    int r;

    reading.loads = (reading.loads + all_at_once - 1) / all_at_once * all_at_once;
    more = reading;
    more.loads = 3 * reading.loads;
    r = time_reading(meter, &reading, &ns);
    for (int i = 0; i < TIMES && !r; i++) {
        r = time_reading(meter, &reading, &ns);
        r = r ? r : time_reading(meter, &more, &more_ns);
        rates[i] = more_ns > ns ? (double)(more.loads - reading.loads) / (more_ns - ns) : 0;
    }
    if (!r)
        *loads_per_ns = meter_median(rates, TIMES);
    return r;
}

static int read_card(struct meter *meter)
{
    struct reading reading = {.multiplier = 1, .units = meter->bytes * 2 / UNIT_BYTES};
    double loads, rate;
    int r;

    reading.loads = reading.units / 4;
    TRY(cuMemAlloc_v2(&reading.at, meter->bytes * 2));
    TRY(cuMemsetD8_v2(reading.at, 1, meter->bytes * 2));
    r = meter_reading(meter, reading, &loads);
    TRY(cuMemFree_v2(reading.at));
    if (r)
        return r;
    rate = loads * UNIT_BYTES * 1e9;
    meter_note(meter, "card", "B/s", rate, "kernels, the card's memory");
    METER_TELL(meter, device_memory, rate);
    return 0;
}

/* Where host memory is read from: as the library maps it, or pinned as ever. */
struct source {
    struct gpu_range range;
    void *pinned;
    CUdeviceptr at;
};

static int source_open(const struct meter *meter, struct source *out)
{
    CUmemAllocationProp prop;

    memset(out, 0, sizeof(*out));
    if (gpu_host_memory(meter->gpu, &prop) &&
        gpu_map(meter->gpu, &prop, meter->bytes, &out->range) == 0) {
        out->at = out->range.at;
        return 0;
    }
    TRY(cuMemHostAlloc(&out->pinned, meter->bytes, CU_MEMHOSTALLOC_DEVICEMAP));
    TRY(cuMemHostGetDevicePointer_v2(&out->at, out->pinned, 0));
    return 0;
}

static void source_close(const struct meter *meter, struct source *source)
{
    gpu_unmap(meter->gpu, &source->range);
    if (source->pinned)
        (void)meter->gpu->cu.cuMemFreeHost(source->pinned);
}

static const struct pattern {
    const char *name;
    uint64_t multiplier;
    uint32_t shift;
} patterns[] = {
    {"in order", 1, 0},
    {"lines of 128 bytes", SCATTER, 3},
    {"16 bytes at a time", SCATTER, 0},
};

static void name_size(uint64_t bytes, char *out, size_t size)
{
    bool mib = bytes >= MIB;

    snprintf(out, size, "%llu %s", (unsigned long long)(bytes / (mib ? MIB : KIB)),
             mib ? "MiB" : "KiB");
}

/* Bytes per second of one pattern over the first `bytes`. */
static int read_part(struct meter *meter, const struct source *source, uint64_t bytes,
                     const struct pattern *pattern, double *rate)
{
    struct reading reading = {
        .at = source->at,
        .units = bytes / UNIT_BYTES,
        .loads = meter->bytes / 16 / UNIT_BYTES,
        .multiplier = pattern->multiplier,
        .shift = pattern->shift,
    };
    double loads;
    char size[32];
    int r = meter_reading(meter, reading, &loads);

    if (r)
        return r;
    *rate = loads * UNIT_BYTES * 1e9;
    name_size(bytes, size, sizeof(size));
    meter_note(meter, "card", "B/s", *rate, "kernels, %s of host memory, %s", size, pattern->name);
    return 0;
}

/* By footprint, from the least to all; as many bytes are read each time. */
static int read_pattern(struct meter *meter, const struct source *source,
                        const struct pattern *pattern, double *least_rate, double *all_rate)
{
    uint64_t bytes = min_u64(meter->bytes, LEAST_MIB * MIB);
    int r = read_part(meter, source, bytes, pattern, least_rate);

    *all_rate = *least_rate;
    while (!r && bytes < meter->bytes) {
        bytes = bytes * GROWTH > meter->bytes ? meter->bytes : bytes * GROWTH;
        r = read_part(meter, source, bytes, pattern, all_rate);
    }
    return r;
}

static int read_host(struct meter *meter)
{
    double least[ARRAY_SIZE(patterns)], all[ARRAY_SIZE(patterns)];
    const struct profile *profile = &meter->out->profile;
    struct source source;
    int r = source_open(meter, &source);

    if (r)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(patterns) && !r; i++)
        r = read_pattern(meter, &source, &patterns[i], &least[i], &all[i]);
    source_close(meter, &source);
    if (r)
        return r;
    METER_TELL(meter, zero_copy_small, least[0]);
    METER_TELL(meter, zero_copy_lines, all[1]);
    METER_TELL(meter, zero_copy_units, all[2]);
    if (profile_has(profile, PROFILE_h2d) && all[0] > 0) {
        double share = all[0] * 1000 / (double)profile->h2d;

        METER_TELL(meter, zero_copy, share < 1000 ? share : 1000);
    }
    return 0;
}

int measure_reads(struct meter *meter)
{
    int r = read_card(meter);

    return r ? r : read_host(meter);
}

/* Keeps `stream` busy for some 80 us, so that what is queued behind it waits. */
static int block(const struct meter *meter, CUstream stream, CUdeviceptr at)
{
    struct reading reading = {
        .at = at,
        .units = meter->bytes / UNIT_BYTES,
        .loads = meter->out->profile.device_memory / UNIT_BYTES / 12000,
        .multiplier = 1,
    };

    return meter_read(meter, stream, &reading);
}

/* Launches that read nothing, behind one that reads much; `stream` is the one that is timed. */
static int time_launches(const struct meter *meter, CUdeviceptr at, CUstream timed, double *ns)
{
    struct reading nothing = {.at = at, .units = 1, .loads = 0, .multiplier = 1};
    int r = block(meter, meter->stream, at);

    TRY(cuEventRecord(meter->begin, timed));
    for (int i = 0; i < LAUNCHES && !r; i++)
        r = meter_read(meter, meter->stream, &nothing);
    TRY(cuEventRecord(meter->end, timed));
    r = r ? r : meter_elapsed(meter, ns);
    TRY(cuStreamSynchronize(meter->stream));
    *ns /= LAUNCHES;
    return r;
}

int measure_launches(struct meter *meter)
{
    double calls[LAUNCH_TIMES], kernels[LAUNCH_TIMES];
    CUdeviceptr at;
    int r = 0;

    TRY(cuMemAlloc_v2(&at, meter->bytes));
    TRY(cuMemsetD8_v2(at, 1, meter->bytes));
    for (int i = 0; i < LAUNCH_TIMES && !r; i++) {
        r = time_launches(meter, at, meter->beside, &calls[i]);
        r = r ? r : time_launches(meter, at, meter->stream, &kernels[i]);
    }
    TRY(cuMemFree_v2(at));
    if (r)
        return r;
    meter_note(meter, "launch", "ns", meter_median(calls, LAUNCH_TIMES),
               "the host's part of a launch");
    meter_note(meter, "launch", "ns", meter_median(kernels, LAUNCH_TIMES),
               "from one kernel to the next");
    METER_TELL(meter, launch_call, meter_median(calls, LAUNCH_TIMES));
    METER_TELL(meter, launch_device, meter_median(kernels, LAUNCH_TIMES));
    return 0;
}

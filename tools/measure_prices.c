/* SPDX-License-Identifier: MIT */
/*
 * What calls cost their thread that map and allocate memory, by size: timed by events in a stream
 * in which nothing else happens. The line through the smallest and the largest is the price: so
 * much for a call and for each MiB.
 *
 * Each size is mapped once before it is timed, as the first time may pay for tables.
 */
#include <errno.h>
#include <stdio.h>

#include "runtime/util.h"
#include "tools/measure_parts.h"

enum {
    PIECES_MAX = 16, /* of one size, timed together */
    TIMES = 3,
    SIZES_MAX = 4,
    GROWTH = 4, /* from size to size */
};

enum step { RESERVE, CREATE, MAP, ACCESS, UNMAP, RELEASE, STEPS };

struct pieces {
    const CUmemAllocationProp *prop;
    uint64_t bytes;
    unsigned int n;
    CUdeviceptr at;
    CUmemGenericAllocationHandle handles[PIECES_MAX];
};

static int take_step(const struct meter *meter, struct pieces *p, enum step step, unsigned int i)
{
    CUmemAccessDesc access = {
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = meter->gpu->device},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
    CUdeviceptr at = p->at + i * p->bytes;

    switch (step) {
    case CREATE:
        TRY(cuMemCreate(&p->handles[i], p->bytes, p->prop, 0));
        break;
    case MAP:
        TRY(cuMemMap(at, p->bytes, 0, p->handles[i], 0));
        break;
    case ACCESS:
        TRY(cuMemSetAccess(at, p->bytes, &access, 1));
        break;
    case UNMAP:
        TRY(cuMemUnmap(at, p->bytes));
        break;
    case RELEASE:
        TRY(cuMemRelease(p->handles[i]));
        break;
    case RESERVE:
    case STEPS:
    default:
        break;
    }
    return 0;
}

/* Nanoseconds of one call of each step. */
static int map_once(const struct meter *meter, struct pieces *p, double ns[STEPS])
{
    int r;

    TRY(cuEventRecord(meter->begin, meter->beside));
    TRY(cuMemAddressReserve(&p->at, p->n * p->bytes, 0, 0, 0));
    TRY(cuEventRecord(meter->end, meter->beside));
    r = meter_elapsed(meter, &ns[RESERVE]);
    for (enum step step = CREATE; step < STEPS && !r; step++) {
        TRY(cuEventRecord(meter->begin, meter->beside));
        for (unsigned int i = 0; i < p->n && !r; i++)
            r = take_step(meter, p, step, i);
        TRY(cuEventRecord(meter->end, meter->beside));
        r = r ? r : meter_elapsed(meter, &ns[step]);
        ns[step] /= p->n;
    }
    if (r)
        return r;
    TRY(cuMemAddressFree(p->at, p->n * p->bytes));
    return 0;
}

/* Pieces of one size that are mapped at a time. */
static unsigned int count_pieces(const struct meter *meter, uint64_t bytes)
{
    return (unsigned int)min_u64(PIECES_MAX, meter->bytes / bytes);
}

/* What one call of the step is about: the range is reserved for all pieces together. */
static uint64_t bytes_of(const struct meter *meter, enum step step, uint64_t bytes)
{
    return step == RESERVE ? bytes * count_pieces(meter, bytes) : bytes;
}

static int map_size(const struct meter *meter, const CUmemAllocationProp *prop, uint64_t bytes,
                    double ns[STEPS])
{
    double all[STEPS][TIMES], once[STEPS];
    struct pieces p = {.prop = prop, .bytes = bytes};
    int r;

    p.n = count_pieces(meter, bytes);
    r = map_once(meter, &p, once);
    for (int i = 0; i < TIMES && !r; i++) {
        r = map_once(meter, &p, once);
        for (int step = 0; step < STEPS; step++)
            all[step][i] = once[step];
    }
    for (int step = 0; step < STEPS && !r; step++)
        ns[step] = meter_median(all[step], TIMES);
    return r;
}

/* From the granularity on, as far as it goes. */
static unsigned int list_sizes(const struct meter *meter, uint64_t least, uint64_t sizes[SIZES_MAX])
{
    unsigned int n = 0;

    for (uint64_t bytes = least; bytes <= meter->bytes && n < SIZES_MAX; bytes *= GROWTH)
        sizes[n++] = bytes;
    return n;
}

static struct price fit(double least_ns, double most_ns, uint64_t least, uint64_t most)
{
    double mib = (double)(most - least) / (double)MIB;
    double each = most > least && most_ns > least_ns ? (most_ns - least_ns) / mib : 0;
    double call = least_ns - each * (double)least / (double)MIB;

    return (struct price){
        .ns = call > 0 ? (uint64_t)(call + 0.5) : 0,
        .ns_per_mib = (uint64_t)(each + 0.5),
    };
}

static void tell_price(struct meter *meter, enum profile_key key, struct price *field,
                       struct price price)
{
    *field = price;
    profile_tell(&meter->out->profile, key);
}

#define TELL_PRICE(key, price) tell_price(meter, PROFILE_##key, &meter->out->profile.key, price)

static int map_kind(struct meter *meter, const char *kind, const CUmemAllocationProp *prop,
                    struct price prices[STEPS])
{
    static const char *const names[STEPS] = {"reserve",    "create", "map",
                                             "set access", "unmap",  "release"};
    double ns[SIZES_MAX][STEPS];
    uint64_t sizes[SIZES_MAX];
    unsigned int n = list_sizes(meter, meter->gpu->granularity, sizes);

    for (unsigned int i = 0; i < n; i++) {
        int r = map_size(meter, prop, sizes[i], ns[i]);

        if (r)
            return r;
        for (enum step step = RESERVE; step < STEPS; step++)
            meter_note(meter, "price", "ns", ns[i][step], "%s %llu MiB of %s memory", names[step],
                       (unsigned long long)(bytes_of(meter, step, sizes[i]) / MIB), kind);
    }
    if (n < 2)
        return -ERANGE; /* one size tells nothing about others */
    for (enum step step = RESERVE; step < STEPS; step++)
        prices[step] = fit(ns[0][step], ns[n - 1][step], bytes_of(meter, step, sizes[0]),
                           bytes_of(meter, step, sizes[n - 1]));
    return 0;
}

int measure_mapping(struct meter *meter)
{
    CUmemAllocationProp card = gpu_device_memory(meter->gpu);
    struct price prices[STEPS];
    CUmemAllocationProp host;
    int r;

    if (!meter->gpu->granularity || meter->gpu->granularity > meter->bytes)
        return 0;
    r = map_kind(meter, "card", &card, prices);
    if (r)
        return r;
    TELL_PRICE(reserve, prices[RESERVE]);
    TELL_PRICE(create_device, prices[CREATE]);
    TELL_PRICE(map, prices[MAP]);
    TELL_PRICE(access, prices[ACCESS]);
    TELL_PRICE(unmap, prices[UNMAP]);
    TELL_PRICE(release, prices[RELEASE]);
    if (!gpu_host_memory(meter->gpu, &host))
        return 0;
    r = map_kind(meter, "host", &host, prices);
    if (!r)
        TELL_PRICE(create_host, prices[CREATE]);
    return r;
}

static int allocate(const struct meter *meter, bool host, uint64_t bytes, double *take,
                    double *give)
{
    CUdeviceptr at = 0;
    void *pinned = NULL;
    int r;

    TRY(cuEventRecord(meter->begin, meter->beside));
    if (host)
        TRY(cuMemHostAlloc(&pinned, bytes, 0));
    else
        TRY(cuMemAlloc_v2(&at, bytes));
    TRY(cuEventRecord(meter->end, meter->beside));
    r = meter_elapsed(meter, take);
    TRY(cuEventRecord(meter->begin, meter->beside));
    if (host)
        TRY(cuMemFreeHost(pinned));
    else
        TRY(cuMemFree_v2(at));
    TRY(cuEventRecord(meter->end, meter->beside));
    return r ? r : meter_elapsed(meter, give);
}

static int allocate_kind(struct meter *meter, bool host, struct price *take, struct price *give)
{
    double takes[SIZES_MAX], gives[SIZES_MAX];
    uint64_t sizes[SIZES_MAX];
    unsigned int n = list_sizes(meter, min_u64(2 * MIB, meter->bytes), sizes);

    for (unsigned int i = 0; i < n; i++) {
        double all[2][TIMES];
        int r = allocate(meter, host, sizes[i], &takes[i], &gives[i]);

        for (int j = 0; j < TIMES && !r; j++)
            r = allocate(meter, host, sizes[i], &all[0][j], &all[1][j]);
        if (r)
            return r;
        takes[i] = meter_median(all[0], TIMES);
        gives[i] = meter_median(all[1], TIMES);
        meter_note(meter, "price", "ns", takes[i], "%s %llu MiB", host ? "pin" : "allocate",
                   (unsigned long long)(sizes[i] / MIB));
        meter_note(meter, "price", "ns", gives[i], "%s %llu MiB", host ? "unpin" : "free",
                   (unsigned long long)(sizes[i] / MIB));
    }
    if (n < 2)
        return -ERANGE;
    *take = fit(takes[0], takes[n - 1], sizes[0], sizes[n - 1]);
    *give = fit(gives[0], gives[n - 1], sizes[0], sizes[n - 1]);
    return 0;
}

int measure_allocating(struct meter *meter)
{
    struct price take, give;
    int r = allocate_kind(meter, false, &take, &give);

    if (r)
        return r;
    TELL_PRICE(allocate, take);
    TELL_PRICE(free, give);
    r = allocate_kind(meter, true, &take, &give);
    if (r)
        return r;
    TELL_PRICE(pin, take);
    TELL_PRICE(unpin, give);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Physical memory of the cards and pinned memory of the host, with exact limits.
 *
 * New memory shows MEMORY_PATTERN. It is not filled, but mapped copy-on-write from one small file
 * full of the pattern, so that a large card costs only what is written to it. Single pages, of
 * which chunks are made, are kept when they are given back, and filled when they are taken again.
 */
#include "tests/sim/bulk.h"
#include "tests/sim/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tests/sim/others.h"

#define PATTERN_FILE_BYTES (16 * MIB)

static uint64_t device_used[MAX_DEVICES];
static uint64_t device_most; /* of all cards together, ever */
static uint64_t host_used;
static int pattern_fd = -1;
static uint64_t pattern_bytes; /* of the file */
static uint8_t *spares[32];    /* a page of a card each, that was given back */
static unsigned int n_spares;

/* The file, with so many bytes of the pattern at least; -1 when there is no room for it. It grows
 * as it is needed: most processes are short, and need little of it. */
static int pattern_file(uint64_t bytes)
{
    uint8_t pattern[64 * KIB];

    if (pattern_fd < 0)
        pattern_fd = memfd_create("sim-pattern", MFD_CLOEXEC);
    if (pattern_bytes < bytes)
        memset(pattern, MEMORY_PATTERN, sizeof(pattern));
    while (pattern_bytes < bytes) {
        if (pwrite(pattern_fd, pattern, sizeof(pattern), (off_t)pattern_bytes) != sizeof(pattern))
            return -1;
        pattern_bytes += sizeof(pattern);
    }
    return pattern_fd;
}

static uint8_t *map_pattern(uint64_t bytes)
{
    int fd = pattern_file(min_u64(bytes, PATTERN_FILE_BYTES));
    uint8_t *memory;

    if (fd < 0)
        return NULL;
    memory = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    for (uint64_t at = 0; at < bytes; at += PATTERN_FILE_BYTES) {
        if (mmap(memory + at, min_u64(PATTERN_FILE_BYTES, bytes - at), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED) {
            munmap(memory, bytes);
            return NULL;
        }
    }
    return memory;
}

/* Filling a page that is there takes a fraction of the copying on write of all of a new one. */
static uint8_t *take_memory(uint64_t bytes)
{
    uint8_t *memory;

    if (bytes != SIM_PAGE_BYTES || !n_spares)
        return map_pattern(bytes);
    memory = spares[--n_spares];
    bulk_fill(memory, MEMORY_PATTERN, bytes);
    return memory;
}

static void give_memory(struct physical *physical)
{
    if (physical->shared_fd >= 0)
        close(physical->shared_fd);
    else if (physical->bytes == SIM_PAGE_BYTES && n_spares < ARRAY_SIZE(spares)) {
        spares[n_spares++] = physical->memory;
        return;
    }
    munmap(physical->memory, physical->bytes);
}

static uint64_t *used_of(int device)
{
    return device == ON_HOST ? &host_used : &device_used[device];
}

static uint64_t limit_of(int device)
{
    return device == ON_HOST ? settings.host_ram : settings.vram;
}

static void note_most(void)
{
    uint64_t used = 0;

    for (int device = 0; device < MAX_DEVICES; device++)
        used += device_used[device];
    device_most = max_u64(device_most, used);
}

static CUresult take(int device, uint64_t bytes)
{
    uint64_t *used = used_of(device);
    CUresult res = CUDA_ERROR_OUT_OF_MEMORY;

    others_begin();
    if (bytes <= limit_of(device) && *used + others_used(device) <= limit_of(device) - bytes) {
        *used += bytes;
        others_tell(device, *used);
        note_most();
        res = CUDA_SUCCESS;
    }
    others_end();
    return res;
}

static void give(int device, uint64_t bytes)
{
    others_begin();
    *used_of(device) -= bytes;
    others_tell(device, *used_of(device));
    others_end();
}

CUresult memory_take_host(uint64_t bytes)
{
    return take(ON_HOST, bytes);
}

void memory_give_host(uint64_t bytes)
{
    give(ON_HOST, bytes);
}

uint64_t memory_device_used(int device)
{
    return device_used[device];
}

uint64_t memory_device_most(void)
{
    return device_most;
}

uint64_t memory_host_used(void)
{
    return host_used;
}

CUresult physical_new(int device, uint64_t bytes, struct physical **out)
{
    struct physical *physical;
    CUresult res = take(device, bytes);

    if (res)
        return res;
    physical = calloc(1, sizeof(*physical));
    if (!physical)
        goto give_back;
    physical->memory = take_memory(bytes);
    if (!physical->memory) {
        core_say("the simulator cannot map %llu MiB itself; answering out of memory",
                 (unsigned long long)(bytes >> 20));
        goto give_back;
    }
    physical->bytes = bytes;
    physical->device = device;
    physical->refs = 1;
    physical->shared_fd = -1;
    *out = physical;
    return CUDA_SUCCESS;

give_back:
    free(physical);
    give(device, bytes);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

void physical_get(struct physical *physical)
{
    physical->refs++;
}

void physical_put(struct physical *physical)
{
    if (--physical->refs)
        return;
    give(physical->device, physical->bytes);
    give_memory(physical);
    free(physical);
}

CUresult physical_share(struct physical *physical)
{
    int fd;
    uint8_t *memory;

    if (physical->shared_fd >= 0)
        return CUDA_SUCCESS;
    fd = memfd_create("sim-host-memory", MFD_CLOEXEC);
    if (fd < 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (ftruncate(fd, (off_t)physical->bytes))
        goto close;
    memory = mmap(NULL, physical->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        goto close;
    bulk_copy(memory, physical->memory, physical->bytes);
    munmap(physical->memory, physical->bytes);
    physical->memory = memory;
    physical->shared_fd = fd;
    return CUDA_SUCCESS;

close:
    close(fd);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

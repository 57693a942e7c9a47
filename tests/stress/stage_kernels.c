/* SPDX-License-Identifier: MIT */
/*
 * A kernel writes all bytes that it is given; one that reads is charged for all, and looks at the
 * first and the last word of every 64 KiB.
 */
#include "tests/stress/stage.h"

#include <stddef.h>
#include <string.h>

enum {
    STEP = 64 << 10,
    WORDS = STEP / 8,
    LATER = 9, /* launches of WRITE_LATER of which the last writes */
};

static uint64_t mixed(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
    return sum ^ sum >> 31;
}

static void add(uint64_t sum_at, uint64_t at, uint64_t bytes)
{
    uint64_t *sum = sim_kernel_access(sum_at, 8, 1);

    for (uint64_t i = 0; sum && i < bytes; i += STEP) {
        const uint64_t *words = sim_kernel_access(at + i, STEP, 0);

        if (!words)
            return;
        *sum = mixed(mixed(*sum, words[0]), words[WORDS - 1]);
    }
}

static void put(uint64_t at, uint64_t bytes, uint64_t seed)
{
    for (uint64_t i = 0; i < bytes; i += STEP) {
        uint64_t *words = sim_kernel_access(at + i, STEP, 1);

        if (!words)
            return;
        memset(words, (int)(mixed(seed, i) >> 24), STEP);
        words[0] = mixed(seed, i);
        words[WORDS - 1] = mixed(seed, i + 1);
    }
}

static uint64_t element(uint64_t table, uint64_t index)
{
    const uint64_t *at = sim_kernel_access(table + 8 * index, 8, 0);

    return at ? *at : 0;
}

#define KERNEL(name)                                                                               \
    static void name##_words(const uint64_t *p);                                                   \
    static void name##_run(const void *params)                                                     \
    {                                                                                              \
        name##_words(params);                                                                      \
    }                                                                                              \
    static void name##_words(const uint64_t *p)

KERNEL(read)
{
    add(p[0], p[1], p[2]);
}

KERNEL(read_back)
{
    add(p[0], p[1] - p[2], p[2]);
}

KERNEL(read_at)
{
    add(p[0], p[1] + p[2], p[3]);
}

KERNEL(read_to)
{
    add(p[0], p[1], p[2] - p[1]);
}

KERNEL(read_via)
{
    add(p[0], element(p[1], p[2]), p[3]);
}

KERNEL(store)
{
    uint64_t *at = sim_kernel_access(p[0] + 8 * p[1], 8, 1);

    if (at)
        *at = p[2];
}

KERNEL(advance)
{
    uint64_t *at = sim_kernel_access(p[0] + 8 * p[1], 8, 1);

    if (at)
        *at += p[2];
}

KERNEL(write)
{
    put(p[0], p[1], p[2]);
}

KERNEL(write_at)
{
    put(p[0] + p[1], p[2], p[3]);
}

KERNEL(write_via)
{
    put(element(p[0], p[1]), p[2], p[3]);
}

KERNEL(write_later)
{
    uint64_t *counter = sim_kernel_access(p[3], 8, 1);

    add(p[0], p[1], p[2]);
    if (counter && ++*counter % LATER == 0)
        put(p[1], p[2], *counter);
}

KERNEL(write_one)
{
    put(p[MANY_AT], STEP, p[MANY]);
}

KERNEL(look_up)
{
    uint64_t bytes = p[3] & UINT32_MAX;
    const int32_t *numbers = sim_kernel_access(p[2] + (p[3] >> 32), LOOK_UPS * sizeof(*numbers), 0);

    for (int i = 0; numbers && i < LOOK_UPS; i++) {
        if (numbers[i] >= 0 && numbers[i] < LOOK_UP_PARTS)
            add(p[0], p[1] + (uint64_t)numbers[i] * bytes, bytes);
    }
}

/* Parameters of 8 bytes each, as many as the largest has. */
static const size_t offsets[] = {0, 8, 16, 24};
static const size_t sizes[] = {8, 8, 8, 8};
/* A struct by value, and a number. */
static const size_t many_offsets[] = {0, 8 * MANY};
static const size_t many_sizes[] = {8 * MANY, 8};

#define ROW(name, n)                                                                               \
    {                                                                                              \
#name, n, offsets, sizes, name##_run                                                       \
    }

static const struct sim_native_kernel kernels[KERNELS] = {
    [READ] = ROW(read, 3),
    [READ_BACK] = ROW(read_back, 3),
    [READ_AT] = ROW(read_at, 4),
    [READ_TO] = ROW(read_to, 3),
    [READ_VIA] = ROW(read_via, 4),
    [STORE] = ROW(store, 3),
    [ADVANCE] = ROW(advance, 3),
    [WRITE] = ROW(write, 3),
    [WRITE_AT] = ROW(write_at, 4),
    [WRITE_VIA] = ROW(write_via, 4),
    [WRITE_LATER] = ROW(write_later, 4),
    [WRITE_ONE] = {"write_one", 2, many_offsets, many_sizes, write_one_run},
    [LOOK_UP] = ROW(look_up, 4),
};

const char *const stage_kernel_names[KERNELS] = {
    "read",  "read_back", "read_at",   "read_to",     "read_via",  "store",   "advance",
    "write", "write_at",  "write_via", "write_later", "write_one", "look_up",
};

void stage_kernels_init(void)
{
    for (int i = 0; i < KERNELS; i++)
        sim_register_kernel(&kernels[i]);
}

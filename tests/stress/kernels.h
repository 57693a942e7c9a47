/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The kernels of these programs, and what they do to plain memory.
 *
 * On the simulated driver they are C functions given to it; on any other they come from a PTX file
 * that CHURN_PTX names (kernels.cu). All work on bytes and differ in how they are told where:
 *
 *   mix     pointers as parameters
 *   blend   pointers in a struct passed by value
 *   gather  eight pointers
 *   hidden  pointers in device memory, which no look at the parameters can find
 */

#include <cuda.h>
#include <stdint.h>

enum {
    GATHER_SOURCES = 7,
};

struct mix_params {
    uint64_t to;
    uint64_t from;
    uint64_t n;
    uint32_t key;
};

struct blend_params {
    struct blend_spec {
        uint32_t key;
        uint32_t unused;
        uint64_t to;
        uint64_t n;
        uint64_t left;
        uint64_t right;
    } spec;
};

struct gather_params {
    uint64_t to;
    uint64_t from[GATHER_SOURCES];
    uint64_t n;
    uint32_t key;
};

struct hidden_params {
    uint64_t table; /* of `count` device addresses */
    uint64_t count;
    uint64_t n;
    uint32_t key;
};

struct kernels {
    CUmodule module;
    CUfunction mix;
    CUfunction blend;
    CUfunction gather;
    CUfunction hidden;
};

static inline uint8_t mix_byte(uint8_t to, uint8_t from, uint32_t key)
{
    return (uint8_t)(to * 5 + from + key);
}

static inline uint8_t blend_byte(uint8_t to, uint8_t left, uint8_t right, uint32_t key)
{
    return (uint8_t)((to ^ left) + right * 3 + key);
}

static inline uint8_t hidden_byte(uint8_t to, uint64_t index, uint32_t key)
{
    return (uint8_t)(to * 3 + index + key);
}

/* A context is current. On failure *out_why says what, and nothing is loaded. */
CUresult kernels_open(struct kernels *kernels, const char **out_why);
void kernels_close(struct kernels *kernels);

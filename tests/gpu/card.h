/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The card that is asked, and its driver, opened with dlopen() as programs do: the machine's own,
 * or the simulated one, on which everything is the same but smaller, and time is virtual.
 *
 * A process opens one card once. Whatever must work and does not ends the process with one line in
 * the report: see MUST(). Locking: none; kernels may be launched from any thread.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/driver.h"
#include "runtime/util.h"
#include "tools/gpu.h"

/* Of the card's driver, in short; a field is NULL where that lacks the call. */
extern struct gpu_calls cu;

/* Each takes four parameters of 64 bits: kernels.c says which. */
enum kernel {
    KERNEL_SPIN,
    KERNEL_READ,
    KERNEL_STEP,
    KERNEL_ROWS,
    KERNEL_FILL,
    KERNEL_ADD,
    KERNEL_POLL,
    KERNEL_FOLLOW,
    KERNEL_NOTHING,
    KERNEL_MANY, /* sixteen parameters: not for kernel_launch() */
    KERNEL_COUNT,
};

struct card {
    struct gpu gpu;
    void *library;
    CUdevice device;
    CUcontext context;
    CUmodule module;
    bool simulated;
    char name[96];
    unsigned int blocks; /* that fill the card */
    uint64_t memory;
    uint64_t unit;                          /* of physical memory */
    CUmemAllocationProp on_device, on_host; /* on_host.location.type is INVALID where refused */
    CUmemAccessDesc access;
    CUfunction kernels[KERNEL_COUNT];
    CUdeviceptr sum; /* eight bytes, for what kernels add up */
};
extern struct card card;

extern const char kernels_text[];
extern const char *const kernel_names[KERNEL_COUNT];

/* Makes the context of the first card current. */
void card_open(void);
/* Gives back what card_open() took: for programs; an experiment just ends. */
void card_close(void);
/* Skips the experiment, with the reason, where the driver has no host-located memory. */
void card_need_host_memory(void);

/* The calling thread's time: of the machine, or virtual. */
uint64_t clock_ns(void);

/* A size or a count: what a card is asked, or what the simulated one is. */
uint64_t scaled(uint64_t on_card, uint64_t simulated);

void kernel_launch(enum kernel kernel, unsigned int blocks, CUstream stream, uint64_t a, uint64_t b,
                   uint64_t c, uint64_t d);
/* READ of `bytes` with the whole card, into card.sum. */
void kernel_read(CUstream stream, CUdeviceptr from, uint64_t bytes);
/* Keeps the stream busy for about so long, with next to nothing of the card. */
void kernel_busy(CUstream stream, double ms);

/* The digest that READ makes of memory, and its expected value when FILL wrote it with `seed`. */
uint64_t memory_digest(CUdeviceptr from, uint64_t bytes);
uint64_t fill_digest(uint64_t bytes, uint64_t seed);
void memory_fill(CUdeviceptr to, uint64_t bytes, uint64_t seed);

/* Physical memory, an address range, and a mapping with access; all MUST work. */
CUmemGenericAllocationHandle physical_new(const CUmemAllocationProp *where, uint64_t bytes);
CUdeviceptr range_new(uint64_t bytes);
void range_map(CUdeviceptr at, uint64_t bytes, CUmemGenericAllocationHandle handle);

/* Milliseconds between two events around the work that is queued in between. */
struct stopwatch {
    CUevent from, to;
    CUstream stream;
};
void stopwatch_start(struct stopwatch *watch, CUstream stream);
double stopwatch_ms(struct stopwatch *watch); /* waits */

const char *error_name(CUresult result);
void must(CUresult result, const char *call);
#define MUST(call) must((call), #call)

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What tests ask of the simulated driver, beyond the driver calls themselves.
 *
 * These are exported by tests/sim/libcuda.so.1 next to the cu* names. Each also has an environment
 * variable (in brackets) that a whole program run under a test can be given. Sizes are bytes.
 *
 *   SIM_VRAM=22MiB            device memory of each simulated card
 *   SIM_DEVICES=1             how many cards
 *   SIM_HOST_RAM=64GiB        limit on pinned host memory of all kinds
 *   SIM_PROFILE=default|h200|rtx4090|rtx3060|rtx4060ti|FILE   what the card is and what things cost
 *   SIM_ORDER=lazy|eager|restless|timed   timed: work runs in the order in which it begins in
 * virtual time, as on a device; lazy (default): queued work runs only when something waits for it
 * or asks about it, so a missing wait shows as wrong data; eager: at submission; restless: like
 * lazy, but any stream may also run on at any call, so that a missing wait shows either way
 *   SIM_HOST_VMM=both|numa|host|none   which host locations cuMemCreate accepts
 *   SIM_MEMORY=own|unified    whether the card says that its memory is the host's
 *   SIM_MIXED_COPY=refuse|allow        whether one copy or memset may cross from a device-located
 *                             to a host-located mapping (default refuse: the harsher belief)
 *   SIM_PEERS=all|none        whether cards can be let into each other's memory
 *   SIM_HIDE=name[,name...]   exported names cuGetProcAddress and the attribute table deny having
 *   SIM_FAIL=name:nth:error[,...]      the nth call (1 = first) of `name` returns `error`
 *   SIM_SEED=1                which of several independent streams advances first when all are
 *                             waited for
 *   SIM_THREADS=1             how many threads run a kernel. With 1 its blocks run in one order,
 *                             always the same
 *   SIM_SHARED=path           processes that name the same file share the cards
 *   SIM_STATS=path            at exit, write counters as "name value" lines to path,
 *                             a line "calls.<symbol> n" for every call used among them
 */

#include <cuda.h>
#include <stddef.h>
#include <stdint.h>

/* The calling thread's clock of virtual time, and work of the program itself that the simulator
 * does not see, in nanoseconds. */
uint64_t sim_clock_now(void);
void sim_clock_charge(uint64_t ns);

/* The nth call of `symbol` from now on (1 is the next) returns `error` and does nothing. */
void sim_fail(const char *symbol, unsigned int nth, CUresult error);
/* Forgets every pending sim_fail(). */
void sim_fail_clear(void);
/* From now on about one of `mean` calls of every name fails with one of five errors, and does
 * nothing; the next ones of that name succeed. 0: none do any more. */
void sim_fail_often(unsigned int mean, uint64_t seed);
/* Whether a call of this thread has failed so with `error` since it last asked this. */
int sim_was_given(CUresult error);
/* How often `symbol` has been called, by whatever name or stream mode; 0 for an unknown name. */
uint64_t sim_calls(const char *symbol);

struct sim_stats {
    uint64_t device_used;         /* physical device memory now in use, on all cards */
    uint64_t device_most;         /* the same at its highest */
    uint64_t host_used;           /* pinned host memory now in use, VMM and cuMemHostAlloc alike */
    uint64_t mappings;            /* live VMM mappings */
    uint64_t handles;             /* live VMM handles */
    uint64_t reservations;        /* live address reservations */
    uint64_t streams;             /* live streams the program created */
    uint64_t events;              /* live events */
    uint64_t allocations;         /* live native device allocations, stream-ordered ones included */
    uint64_t bytes_to_device;     /* copied host memory -> device memory, ever */
    uint64_t bytes_to_host;       /* copied device memory -> host memory, ever */
    uint64_t bytes_on_device;     /* copied device -> device, ever */
    uint64_t bytes_on_host;       /* copied host -> host by a driver call, ever */
    uint64_t kernel_bytes_device; /* bytes kernels accessed in device memory, ever */
    uint64_t kernel_bytes_host;   /* bytes kernels accessed in host memory (in place), ever */
    uint64_t launches;            /* kernels executed, ever */
    uint64_t thread_instructions; /* ever */
    uint64_t illegal_addresses;   /* accesses that faulted, ever */
    uint64_t clock_ns;            /* virtual time, of the thread that asks */
};
void sim_get_stats(struct sim_stats *out);
/* device_used, of one card. */
uint64_t sim_device_used(int device);

/* One page (2 MiB) that a kernel touched: the oracle for what a launch really needs. */
struct sim_touch {
    uint64_t launch; /* running number of the executed kernel, from 0 */
    uint64_t page;   /* device address, page-aligned */
    uint8_t read;
    uint8_t written;
    uint8_t on_host; /* the page was mapped to host memory at that moment */
};
/* Starts or stops logging; starting clears the log. Off by default. */
void sim_touch_log(int on);
/* Copies at most `capacity` records; returns how many there are. */
size_t sim_touches(struct sim_touch *out, size_t capacity);

/* Kernels as C functions, for tests of paging that need no PTX: cuModuleGetFunction of `name` in a
 * module loaded from the string "SIM-NATIVE", or from a text that begins with that line, finds it,
 * and one that stands in for PTX is found instead of the kernel of that name in any module.
 * `params` is the packed parameter buffer. */
struct sim_native_kernel {
    const char *name;
    size_t n_params;
    const size_t *param_offsets;
    const size_t *param_sizes;
    void (*run)(const void *params);
    int stands_in;
};
void sim_register_kernel(const struct sim_native_kernel *kernel);
/* From inside such a kernel: a host pointer to [address, address + bytes), or NULL after recording
 * the fault. The range must not cross a 2 MiB page. */
void *sim_kernel_access(uint64_t address, size_t bytes, int write);

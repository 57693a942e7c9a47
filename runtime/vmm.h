/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Mapping and unmapping as the pager needs them: all or nothing, and persistent.
 *
 * The driver answers NOT_READY to cuMemSetAccess on some cards right after mappings changed. A call
 * that fails is repeated a few times with the device drained in between, unless that would break a
 * capture, before it counts as failed. Locking: none; the pager's where captures may begin.
 */

#include "runtime/driver.h"

enum {
    VMM_DEVICES_MAX = 64,
};

/* Who may use a mapping. */
struct vmm_access {
    CUmemAccessDesc devices[VMM_DEVICES_MAX];
    size_t n;
};

/* Does nothing for a device that is in it already. */
void vmm_access_add(struct vmm_access *access, CUdevice device);

/* Maps `handle` at `at` and grants `access`. On failure nothing is mapped there. */
int vmm_map(const struct driver *drv, CUdeviceptr at, uint64_t bytes,
            CUmemGenericAllocationHandle handle, const struct vmm_access *access);

/* The same for what was mapped there just before, and has to be there again: whatever the driver
 * answers is tried again. */
int vmm_restore(const struct driver *drv, CUdeviceptr at, uint64_t bytes,
                CUmemGenericAllocationHandle handle, const struct vmm_access *access);

/* The first half of vmm_map(): nobody may use it before vmm_grant(). */
int vmm_place(const struct driver *drv, CUdeviceptr at, uint64_t bytes,
              CUmemGenericAllocationHandle handle);

/* Grants `access` to what is mapped there without a gap. */
int vmm_grant(const struct driver *drv, CUdeviceptr at, uint64_t bytes,
              const struct vmm_access *access);

/* `at` and `bytes` are those of one vmm_map(). On failure it is still mapped. */
int vmm_unmap(const struct driver *drv, CUdeviceptr at, uint64_t bytes);

/* Failure is logged: the memory is lost to this process. */
void vmm_release(const struct driver *drv, CUmemGenericAllocationHandle handle);
void vmm_unreserve(const struct driver *drv, CUdeviceptr at, uint64_t bytes);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The simulated device's address translation.
 *
 * Device addresses live in one reserved, PROT_NONE window of host address space, so that a host
 * dereference of a device pointer faults as on hardware. A page is 2 MiB. A page translates to the
 * host memory that stands for its physical memory, or to nothing: not mapped, or mapped without
 * access. Pinned host memory (cuMemHostAlloc and friends) translates to itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PAGE_BYTES ((size_t)2 << 20)

/*
 * Host pointer for a kernel's access to [address, address + bytes); NULL when any of it is
 * unmapped, has no access, or crosses a page. On success *valid_from / *valid_to (device addresses)
 * say for which neighbouring addresses the same `result - address` offset holds, so that a caller
 * may keep the translation for the duration of one kernel. Records the touch of the page when
 * logging is on. Locking: none; mappings cannot change while a kernel runs in this process (the
 * simulator's lock).
 */
void *sim_mmu_translate(uint64_t address, size_t bytes, bool write, uint64_t *valid_from,
                        uint64_t *valid_to);

/* Counts `bytes` a kernel accessed on the page of `address`, for the statistics. Thread-safe. */
void sim_mmu_account(uint64_t address, uint64_t bytes);

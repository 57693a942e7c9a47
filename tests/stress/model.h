/* SPDX-License-Identifier: MIT */
#pragma once

/* A model in one allocation, larger than the card it is on, and what its tensors hold. */

#include "runtime/residency.h"
#include "tests/stress/paged.h"

enum { TENSORS = 14, TENSOR = 2 * PAGE, MODEL = TENSORS * TENSOR };

struct model {
    struct device_code code;
    CUfunction read;
    CUfunction through;
    CUstream stream;
    CUdeviceptr weights;
    CUdeviceptr sum;
    CUdeviceptr pointers; /* to all tensors, in device memory, if they were uploaded */
    uint32_t *mirror;     /* one word for each 64 KiB */
    uint32_t expected;    /* sum of all that was read */
};

struct model start_model(const char *vram);
enum { PLANNED_BUFFERS = 2 * PAGE };
/* The same with a plan for so many bytes of device memory, of a larger card, and whole tensors
 * uploaded. `foreign`: with other bytes than the plan's. */
struct model start_planned(const char *vram, uint64_t device, bool foreign);
/* The same, and of the tensors so many are pinned to host memory, the first, and the device, the
 * last. */
struct model start_pinned(const char *vram, uint64_t device, uint32_t on_host, uint32_t on_device);
/* The same, and these of them are read beside the pass. */
struct model start_pinned_beside(const char *vram, uint64_t device, uint32_t on_host,
                                 uint32_t on_device);
/* The same, and the last are still to be uploaded. */
struct model start_pinned_late(const char *vram, uint64_t device, uint32_t on_host,
                               uint32_t on_device);
void upload_tensor(struct model *m, uint32_t tensor);
/* The same, and the plan knows all functions of the program, or those of other code of these names.
 */
struct model start_known(const char *vram, uint64_t device, bool other_code);
/* The same of a file that is there, which the program reads into memory of its own; what neither
 * memory holds goes to the disk. */
struct model start_planned_file(const char *vram, const char *ram, uint64_t device);
void stop_model(struct model *m);

/* Whether the home of all of a tensor is there. */
bool is_home(const struct model *m, uint32_t tensor, enum tier tier);

/* In a table of so many bytes. Where addresses of tensors are uploaded is looked into in small
 * tables alone. */
enum { POINTERS_SEEN = TENSORS * 8, POINTERS_HIDDEN = 64 * KIB };
void upload_pointers(struct model *m, uint64_t bytes);

/* The word that stands for the 64 KiB at `offset`. */
uint32_t *mirror_at(struct model *m, uint64_t offset);

/* Adds what is in a tensor to the sum. */
void read_tensor(struct model *m, uint32_t tensor);
/* That it will be: a launch of it was captured. */
void expect_tensor(struct model *m, uint32_t tensor);
void expect_sum(struct model *m);

/* Bytes that launches of the program have read over the link. */
uint64_t read_in_place(void);

/* All tensors in order. */
void pass(struct model *m);
void passes(struct model *m, int n);

/* How a weight can be written. */
enum way { BY_COPY, BY_COPY_IN_STREAM, BY_MEMSET, BY_KERNEL, THROUGH_A_POINTER };
void write_weight(struct model *m, enum way way, uint32_t tensor, uint32_t value);
/* In each of so many passes writes a tensor that is being read, has just been read, or is about to
 * be, and so may be staged; the sum must be that of what was written, and some launches must have
 * read copies. */
void write_while_reading(struct model *m, enum way way, uint32_t n);

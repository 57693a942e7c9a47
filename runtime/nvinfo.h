/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Kernel parameters as a cubin describes them: the `.nv.info.<kernel>` sections of its ELF image.
 *
 * Every function here bears any input: an image that is cut short or lies about itself is refused
 * or read as far as it is sound, and no byte past the given size is touched. Locking: none.
 */

#include <stddef.h>
#include <stdint.h>

/* Where one parameter lies in the packed parameter buffer, in bytes. */
struct kernel_param {
    uint16_t offset;
    uint16_t bytes;
};

/* One kernel. `params` is in declaration order and belongs to the struct nvinfo. */
struct nvinfo_kernel {
    const char *name; /* as cuModuleGetFunction() knows it; belongs to the struct nvinfo */
    uint32_t n_params;
    struct kernel_param *params;
};

struct nvinfo {
    size_t n_kernels;
    struct nvinfo_kernel *kernels;
};

/*
 * Reads a whole 64-bit ELF image. A kernel whose records contradict each other is left out. *out
 * is the caller's, for nvinfo_free(). -ENOEXEC when it is no cubin, -ENOMEM.
 */
int nvinfo_read(const void *image, size_t bytes, struct nvinfo **out);

/* Accepts NULL and a half-built one. */
void nvinfo_free(struct nvinfo *info);

/*
 * How many bytes the ELF image at `image` takes, by its own headers, of `limit` that may be read.
 * 0 when it is no 64-bit ELF image or does not fit into `limit`.
 */
size_t nvinfo_elf_bytes(const void *image, size_t limit);

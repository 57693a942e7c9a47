/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Parameter layouts from the images a program loads, for drivers that cannot be asked for them.
 *
 * An image is recorded under its owner, the CUmodule or CUlibrary that the driver made of it. A
 * handle got from the owner by name is then attached to what its image says of that name. Locking:
 * none to the caller, any thread.
 */

#include <stddef.h>
#include <stdint.h>
#include "runtime/nvinfo.h"

/*
 * Reads an image as cuModuleLoadData() takes it: an ELF image, a fatbin or its wrapper, at least as
 * long as its own headers say. `arch` as in runtime/fatbin.h. Positive: the number of kernels now
 * known; -ENOENT when the image holds none that can be read (PTX, compressed entries); -ENOMEM.
 */
int image_record(const void *owner, const void *image, unsigned int arch);

/* `handle` is the owner's kernel `name`. Nothing happens when either is unknown. */
void image_attach(const void *owner, const char *name, const void *handle);

/* `handle` is another handle of the kernel that `known` is. */
void image_attach_alias(const void *known, const void *handle);

/* The owner is unloaded: its kernels and their handles are unknown from now on. */
void image_forget(const void *owner);

/*
 * Copies the parameters of `handle`, at most `max` of them. Their number, which may be greater than
 * `max` (then nothing is copied); -ENOENT when the handle is unknown.
 */
int image_params(const void *handle, struct kernel_param *out, size_t max);

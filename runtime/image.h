/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is known of kernel handles from how the program came by them: of which sort each is and, for
 * drivers that cannot be asked, its parameters by the image it was loaded from.
 *
 * An image is recorded under its owner, the CUmodule or CUlibrary that the driver made of it. A
 * handle got from the owner by name is then attached to what its image says of that name. Locking:
 * none to the caller, any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "runtime/nvinfo.h"

enum image_handle {
    IMAGE_HANDLE_UNKNOWN,
    IMAGE_HANDLE_FUNCTION, /* a CUfunction */
    IMAGE_HANDLE_KERNEL,   /* a CUkernel */
};

/*
 * Reads an image as cuModuleLoadData() takes it: an ELF image, a fatbin or its wrapper, which a
 * driver has accepted. `arch` as for fatbin_walk(). What the owner had is replaced. Positive: the
 * number of kernels now known; -ENOENT: the image holds none that can be read (PTX, compressed
 * entries); -ENOMEM.
 */
int image_record(const void *owner, const void *image, unsigned int arch);

/*
 * Remembers what the image of an owner is, so that its functions are known in another run. All of
 * it is read: now or, if it stays where it is until image_forget(), when somebody asks. Image: as
 * above, or the text of PTX; of anything else nothing is remembered.
 */
void image_identify(const void *owner, const void *image, bool stays);

/* `handle` is the owner's kernel `name`. Replaces what was known of the handle. */
void image_attach(const void *owner, const char *name, const void *handle, enum image_handle kind);

/* The module `module` is what a library is in some context: its handles are the library's. */
void image_alias(const void *module, const void *library);

/* `function` is the CUfunction of the CUkernel `kernel`. */
void image_attach_function(const void *kernel, const void *function);

/* The owner is unloaded: its kernels and their handles are unknown from now on. */
void image_forget(const void *owner);

enum image_handle image_handle_kind(const void *handle);

/*
 * Which function it is: a digest of the image, never 0, and its name, the caller's to free. -ENOENT
 * when that was not remembered, -ENOMEM.
 */
int image_function(const void *handle, uint64_t *out_digest, char **out_name);

/*
 * Copies the parameters of `handle`, at most `max` of them. Their number, which may be greater than
 * `max`; -ENOENT when no image tells of the handle.
 */
int image_params(const void *handle, struct kernel_param *out, size_t max);

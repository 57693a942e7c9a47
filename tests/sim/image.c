/* SPDX-License-Identifier: MIT */
/*
 * Finding PTX in what is loaded, and parsing it. Machine code cannot be run here, and is refused by
 * name.
 */
#include "tests/sim/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/fatbin.h"
#include "tests/sim/profile.h"

#define ELF_MAGIC    0x464c457fu
#define MAGIC_BYTES  4
#define NATIVE       "SIM-NATIVE"
#define FATBIN_BYTES 24 /* of a fatbin or its wrapper that may be read before either is known */

/* A text may be shorter than a magic number. */
static uint32_t magic_of(const void *data, size_t bytes)
{
    uint32_t magic = 0;

    if (strnlen(data, min_u64(bytes, MAGIC_BYTES)) == MAGIC_BYTES)
        memcpy(&magic, data, MAGIC_BYTES);
    return magic;
}

/* A wrapper holds a pointer: believed in memory, not in a file. */
static const void *open_fatbin(const void *data, size_t bytes)
{
    const void *fatbin =
        magic_of(data, bytes) ? fatbin_open(data, min_u64(bytes, FATBIN_BYTES)) : NULL;

    return fatbin == data || bytes == IMAGE_UNSIZED ? fatbin : NULL;
}

bool image_is_fatbin(const void *data, size_t bytes)
{
    return open_fatbin(data, bytes) != NULL;
}

CUresult image_fatbin_text(const void *fatbin, size_t bytes, const char **why, char **out)
{
    const void *data = open_fatbin(fatbin, bytes);
    int r = data ? fatbin_ptx(data, bytes,
                              (int)(profile.compute_major * 10 + profile.compute_minor), out)
                 : FATBIN_E_DAMAGED;

    if (!r)
        return CUDA_SUCCESS;
    *why = fatbin_error_text(r);
    if (r == -ENOMEM)
        return CUDA_ERROR_OUT_OF_MEMORY;
    return r == FATBIN_E_DAMAGED ? CUDA_ERROR_INVALID_IMAGE : CUDA_ERROR_NO_BINARY_FOR_GPU;
}

static CUresult image_text(const void *data, size_t bytes, const char **why, char **out)
{
    if (image_is_fatbin(data, bytes))
        return image_fatbin_text(data, bytes, why, out);
    if (magic_of(data, bytes) == ELF_MAGIC) {
        *why = "a cubin is machine code, which is not simulated";
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    *why = "out of memory";
    *out = strdup(data);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static struct ptx_module *parse(const char *text, char *error, size_t error_size)
{
    if (strstr(text, ".version"))
        return ptx_module_parse(text, error, error_size);
    snprintf(error, error_size, "it is neither a container nor text with a .version");
    return NULL;
}

struct ptx_module *image_parse(const struct image *image)
{
    char error[256];
    struct ptx_module *ptx = parse(image->text, error, sizeof(error));

    if (!ptx)
        core_say("cannot load PTX again: %s", error);
    return ptx;
}

static CUresult image_fill(struct image *image, const void *data, size_t bytes, char *error,
                           size_t error_size)
{
    const char *why = "";
    CUresult res = image_text(data, bytes, &why, &image->text);

    if (res) {
        snprintf(error, error_size, "%s", why);
        return res;
    }
    image->ptx = parse(image->text, error, error_size);
    return image->ptx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX;
}

static const char *error_name(CUresult error)
{
    switch ((int)error) {
    case CUDA_ERROR_INVALID_PTX:
        return "CUDA_ERROR_INVALID_PTX";
    case CUDA_ERROR_INVALID_IMAGE:
        return "CUDA_ERROR_INVALID_IMAGE";
    case CUDA_ERROR_OUT_OF_MEMORY:
        return "CUDA_ERROR_OUT_OF_MEMORY";
    default:
        return "CUDA_ERROR_NO_BINARY_FOR_GPU";
    }
}

static bool is_native(const char *text)
{
    size_t n = strlen(NATIVE);

    return !strncmp(text, NATIVE, n) && (!text[n] || text[n] == '\n');
}

CUresult image_open(const void *data, size_t bytes, const struct jit_options *jit,
                    struct image **out)
{
    char error[256] = "";
    struct image *image;
    CUresult res = jit_options_check(jit);

    if (res)
        return res;
    if (!data)
        return CUDA_ERROR_INVALID_VALUE;
    image = calloc(1, sizeof(*image));
    if (!image)
        return CUDA_ERROR_OUT_OF_MEMORY;
    image->native = is_native(data);
    if (!image->native)
        res = image_fill(image, data, bytes, error, sizeof(error));
    jit_options_tell(jit, error);
    if (res) {
        core_say("cannot load device code: %s; answering %s", error, error_name(res));
        image_free(image);
        return res;
    }
    *out = image;
    return CUDA_SUCCESS;
}

struct image *image_free(struct image *image)
{
    if (!image)
        return NULL;
    if (!image->claimed)
        ptx_module_free(image->ptx);
    free(image->text);
    free(image);
    return NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * Finding PTX in what is loaded.
 *
 * A fatbin comes bare or behind a wrapper that points to it. Of its PTX entries the one for the
 * newest architecture this card can run is used. Machine code and compressed entries cannot be run
 * here, and are refused by name.
 */
#include "tests/sim/image.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/profile.h"

#define WRAPPER_MAGIC    0x466243b1u
#define FATBIN_MAGIC     0xba55ed50u
#define ENTRY_PTX        1
#define ENTRY_COMPRESSED (0x2000u | 0x8000u)

struct fatbin_wrapper {
    uint32_t magic;
    uint32_t version;
    const void *fatbin;
    const void *unused;
};

struct fatbin_header {
    uint32_t magic;
    uint16_t version;
    uint16_t header_bytes;
    uint64_t bytes; /* of all entries */
};

struct fatbin_entry {
    uint16_t kind;
    uint16_t version;
    uint32_t header_bytes;
    uint64_t payload_bytes;
    uint32_t compressed_bytes;
    uint32_t extra_offset;
    uint16_t minor;
    uint16_t major;
    uint32_t architecture;
    uint32_t name_offset;
    uint32_t name_length;
    uint64_t flags;
};

static CUresult fatbin_refuse(const char *why)
{
    core_say("a fatbin %s; answering CUDA_ERROR_NO_BINARY_FOR_GPU", why);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

static CUresult fatbin_text(const uint8_t *data, char **out)
{
    struct fatbin_header header;
    struct fatbin_entry best = {0};
    const uint8_t *payload = NULL;

    memcpy(&header, data, sizeof(header));
    for (uint64_t at = 0; at + sizeof(best) <= header.bytes;) {
        struct fatbin_entry entry;

        memcpy(&entry, data + header.header_bytes + at, sizeof(entry));
        if (entry.header_bytes < sizeof(entry) || entry.payload_bytes > header.bytes)
            return fatbin_refuse("is damaged");
        if (entry.kind == ENTRY_PTX && entry.architecture <= PROFILE_MAJOR * 10 + PROFILE_MINOR &&
            (!payload || entry.architecture > best.architecture)) {
            best = entry;
            payload = data + header.header_bytes + at + entry.header_bytes;
        }
        at += entry.header_bytes + entry.payload_bytes;
    }
    if (!payload)
        return fatbin_refuse("holds no PTX for this card or an older one, only machine code");
    if (best.flags & ENTRY_COMPRESSED)
        return fatbin_refuse("holds compressed PTX, which is not simulated; build it with "
                             "-Xfatbin --compress-all=false or --no-compress");
    *out = strndup((const char *)payload, best.payload_bytes);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult image_text(const void *data, char **out)
{
    struct fatbin_wrapper wrapper;
    uint32_t magic = 0;

    /* A text may be shorter than a magic number. */
    if (strnlen(data, sizeof(magic)) == sizeof(magic))
        memcpy(&magic, data, sizeof(magic));
    if (magic == WRAPPER_MAGIC) {
        memcpy(&wrapper, data, sizeof(wrapper));
        return fatbin_text(wrapper.fatbin, out);
    }
    if (magic == FATBIN_MAGIC)
        return fatbin_text(data, out);
    if (magic == 0x464c457f) /* 0x7f "ELF" */
        return fatbin_refuse("or cubin is machine code, which is not simulated");
    *out = strdup(data);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

struct ptx_module *image_parse(const struct image *image)
{
    char error[256] = "it is neither a container nor text with a .version";
    struct ptx_module *ptx = NULL;

    if (strstr(image->text, ".version"))
        ptx = ptx_module_parse(image->text, error, sizeof(error));
    if (!ptx)
        core_say("cannot load PTX: %s; answering CUDA_ERROR_INVALID_PTX", error);
    return ptx;
}

CUresult image_open(const void *data, struct image **out)
{
    struct image *image;
    CUresult res = CUDA_SUCCESS;

    if (!data)
        return CUDA_ERROR_INVALID_VALUE;
    image = calloc(1, sizeof(*image));
    if (!image)
        return CUDA_ERROR_OUT_OF_MEMORY;
    image->native = !strcmp(data, "SIM-NATIVE");
    if (!image->native)
        res = image_text(data, &image->text);
    if (!image->native && !res) {
        image->ptx = image_parse(image);
        res = image->ptx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX;
    }
    if (res) {
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

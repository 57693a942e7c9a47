/* SPDX-License-Identifier: MIT */
/*
 * A fatbin is a 16-byte header and then entries, each a header and a payload. What is read here:
 *
 *   wrapper  0 u32 magic, 4 u32 version, 8 pointer to the fatbin
 *   fatbin   0 u32 magic, 6 u16 header bytes, 8 u64 bytes of all entries
 *   entry    0 u16 kind, 4 u32 header bytes, 8 u64 payload bytes, 16 u32 compressed bytes,
 *            28 u32 architecture, 40 u64 flags
 *
 * The sizes come from whoever made the file: each is checked against what is left before it is
 * believed, and a walk stops at the first entry that does not fit.
 */

#include <string.h>
#include "runtime/fatbin.h"
#include "runtime/log.h"

enum {
    WRAPPER_MAGIC = 0x466243b1,
    WRAPPER_BYTES = 24,
    WRAPPER_DATA = 8,
    FATBIN_BYTES = 16,
    ENTRY_BYTES = 48, /* as much of an entry's header as is read here */
    KIND_ELF = 2,
};
#define FATBIN_MAGIC 0xba55ed50u
#define FLAG_LZ4     0x2000u
#define FLAG_ZSTD    0x8000u

struct entry {
    unsigned int kind;
    unsigned int arch;
    bool compressed;
    const char *payload;
    size_t bytes;
};

static uint64_t get(const void *base, size_t offset, size_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, (const char *)base + offset, bytes); /* little-endian, as every CUDA host is */
    return value;
}

const void *fatbin_open(const void *image, size_t limit)
{
    if (limit < FATBIN_BYTES)
        return NULL;
    if (get(image, 0, 4) == FATBIN_MAGIC)
        return image;
    if (get(image, 0, 4) != WRAPPER_MAGIC || limit < WRAPPER_BYTES)
        return NULL;
    return (const void *)(uintptr_t)get(image, WRAPPER_DATA, sizeof(uintptr_t));
}

size_t fatbin_bytes(const void *data, size_t limit)
{
    uint64_t header, entries;

    if (limit < FATBIN_BYTES || get(data, 0, 4) != FATBIN_MAGIC)
        return 0;
    header = get(data, 6, 2);
    entries = get(data, 8, 8);
    if (header < FATBIN_BYTES || header > limit || entries > limit - header)
        return 0;
    return header + entries;
}

/* Steps *at over the entry there; false when no whole one is left. */
static bool entry_next(const char **at, const char *end, struct entry *out)
{
    const char *entry = *at;
    size_t left = end - entry;
    uint64_t header, payload, flags;

    if (left < ENTRY_BYTES)
        return false;
    header = get(entry, 4, 4);
    payload = get(entry, 8, 8);
    flags = get(entry, 40, 8);
    if (header < ENTRY_BYTES || header > left || payload > left - header)
        return false;
    *out = (struct entry){
        .kind = get(entry, 0, 2),
        .arch = get(entry, 28, 4),
        .compressed = flags & (FLAG_LZ4 | FLAG_ZSTD) || get(entry, 16, 4),
        .payload = entry + header,
        .bytes = payload,
    };
    *at = entry + header + payload;
    return true;
}

static int walk_arch(const void *data, size_t bytes, unsigned int arch, fatbin_visit_fn visit,
                     void *context, size_t *n_visited)
{
    const char *at = (const char *)data + get(data, 6, 2), *end = (const char *)data + bytes;
    struct entry entry;
    int r = 0;

    while (!r && entry_next(&at, end, &entry)) {
        struct fatbin_image image = {entry.payload, entry.bytes, entry.arch};

        if (entry.kind != KIND_ELF || (arch && entry.arch != arch))
            continue;
        if (entry.compressed) {
            log_debug("skipping a compressed cubin for sm_%u", entry.arch);
            continue;
        }
        r = visit(context, &image);
        ++*n_visited;
    }
    return r;
}

int fatbin_walk(const void *data, size_t bytes, unsigned int arch, fatbin_visit_fn visit,
                void *context)
{
    size_t n_visited = 0;
    int r;

    bytes = fatbin_bytes(data, bytes);
    if (!bytes)
        return 0;
    r = walk_arch(data, bytes, arch, visit, context, &n_visited);
    if (r || n_visited || !arch)
        return r;
    return walk_arch(data, bytes, 0, visit, context, &n_visited);
}

/* SPDX-License-Identifier: MIT */
/*
 * A fatbin is a 16-byte header and then entries, each a header and a payload; all of it
 * little-endian:
 *
 *   wrapper  0 u32 magic, 4 u32 version, 8 pointer to the fatbin
 *   fatbin   0 u32 magic, 4 u16 version, 6 u16 header bytes, 8 u64 bytes of all entries
 *   entry    0 u16 kind, 4 u32 header bytes, 8 u64 payload bytes, 16 u32 compressed bytes,
 *            28 u32 architecture, 40 u64 flags, 56 u64 unpacked bytes
 *
 * The payload of a compressed entry is a zstd frame or a bare LZ4 block, as the flags say, and
 * padded. Every size is checked against what is left before it is believed.
 */
#include "tests/sim/fatbin.h"

#include <errno.h>
#include <lz4.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
    WRAPPER_MAGIC = 0x466243b1,
    WRAPPER_BYTES = 24,
    FATBIN_HEADER_BYTES = 16,
    ENTRY_BYTES = 64, /* what is read of an entry's header */
    ENTRY_KIND_PTX = 1,
    ENTRY_VERSION = 0x0101,
};
#define FATBIN_MAGIC     0xba55ed50u
#define ENTRY_FLAG_64BIT 0x1u
#define ENTRY_FLAG_LZ4   0x2000u
#define ENTRY_FLAG_ZSTD  0x8000u

struct entry {
    unsigned int kind;
    unsigned int arch;
    uint64_t flags;
    uint64_t packed_bytes;
    uint64_t unpacked_bytes;
    const uint8_t *payload;
    uint64_t payload_bytes;
};

static uint64_t get(const void *base, size_t offset, size_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)base + offset, bytes);
    return value;
}

static void put(void *base, size_t offset, size_t bytes, uint64_t value)
{
    memcpy((uint8_t *)base + offset, &value, bytes);
}

const void *fatbin_open(const void *image, size_t limit)
{
    if (limit >= FATBIN_HEADER_BYTES && get(image, 0, 4) == FATBIN_MAGIC)
        return image;
    if (limit < WRAPPER_BYTES || get(image, 0, 4) != WRAPPER_MAGIC)
        return NULL;
    return (const void *)(uintptr_t)get(image, 8, sizeof(uintptr_t));
}

/* Steps *at over the entry there; false when no whole one is left. */
static bool entry_next(const uint8_t **at, const uint8_t *end, struct entry *out)
{
    const uint8_t *entry = *at;
    uint64_t left = (uint64_t)(end - entry);
    uint64_t header;
    uint64_t payload;

    if (left < ENTRY_BYTES)
        return false;
    header = get(entry, 4, 4);
    payload = get(entry, 8, 8);
    if (header < ENTRY_BYTES || header > left || payload > left - header)
        return false;
    *out = (struct entry){
        .kind = (unsigned int)get(entry, 0, 2),
        .arch = (unsigned int)get(entry, 28, 4),
        .flags = get(entry, 40, 8),
        .packed_bytes = get(entry, 16, 4),
        .unpacked_bytes = get(entry, 56, 8),
        .payload = entry + header,
        .payload_bytes = payload,
    };
    *at = entry + header + payload;
    return true;
}

/* The bytes written; 0 when the payload is not what the flags say. */
static size_t unpack(const struct entry *entry, char *to)
{
    size_t bytes;
    int n;

    if (entry->flags & ENTRY_FLAG_ZSTD) {
        bytes = ZSTD_decompress(to, entry->unpacked_bytes, entry->payload, entry->packed_bytes);
        return ZSTD_isError(bytes) ? 0 : bytes;
    }
    n = LZ4_decompress_safe((const char *)entry->payload, to, (int)entry->packed_bytes,
                            (int)entry->unpacked_bytes);
    return n > 0 ? (size_t)n : 0;
}

static int entry_text(const struct entry *entry, char **out)
{
    size_t bytes;
    char *text;

    if (!(entry->flags & (ENTRY_FLAG_LZ4 | ENTRY_FLAG_ZSTD))) {
        if (entry->payload_bytes > FATBIN_TEXT_MAX)
            return FATBIN_E_DAMAGED;
        *out = strndup((const char *)entry->payload, entry->payload_bytes);
        return *out ? 0 : -ENOMEM;
    }
    if (entry->packed_bytes > entry->payload_bytes || entry->packed_bytes > FATBIN_TEXT_MAX ||
        entry->unpacked_bytes > FATBIN_TEXT_MAX ||
        entry->unpacked_bytes > entry->packed_bytes * FATBIN_RATIO_MAX)
        return FATBIN_E_DAMAGED;
    text = malloc(entry->unpacked_bytes + 1);
    if (!text)
        return -ENOMEM;
    bytes = unpack(entry, text);
    if (!bytes) {
        free(text);
        return FATBIN_E_DAMAGED;
    }
    text[bytes] = '\0';
    *out = text;
    return 0;
}

int fatbin_ptx(const void *data, size_t limit, unsigned int arch, char **out)
{
    struct entry best = {.payload = NULL};
    struct entry entry;
    const uint8_t *at;
    const uint8_t *end;
    uint64_t header;
    bool newer = false;

    if (limit < FATBIN_HEADER_BYTES || get(data, 0, 4) != FATBIN_MAGIC)
        return FATBIN_E_DAMAGED;
    header = get(data, 6, 2);
    if (header < FATBIN_HEADER_BYTES || header > limit || get(data, 8, 8) > limit - header)
        return FATBIN_E_DAMAGED;
    at = (const uint8_t *)data + header;
    end = at + get(data, 8, 8);
    while (entry_next(&at, end, &entry)) {
        if (entry.kind != ENTRY_KIND_PTX)
            continue;
        newer |= entry.arch > arch;
        if (entry.arch <= arch && (!best.payload || entry.arch > best.arch))
            best = entry;
    }
    if (at != end)
        return FATBIN_E_DAMAGED;
    if (!best.payload)
        return newer ? FATBIN_E_TOO_NEW : FATBIN_E_NO_PTX;
    return entry_text(&best, out);
}

int fatbin_wrap(const char *text, unsigned int arch, void **out, size_t *out_bytes)
{
    size_t payload = (strlen(text) + 8) & ~(size_t)7;
    size_t bytes = FATBIN_HEADER_BYTES + ENTRY_BYTES + payload;
    uint8_t *fatbin = calloc(1, bytes);
    uint8_t *entry = fatbin + FATBIN_HEADER_BYTES;

    if (!fatbin)
        return -ENOMEM;
    put(fatbin, 0, 4, FATBIN_MAGIC);
    put(fatbin, 4, 2, 1);
    put(fatbin, 6, 2, FATBIN_HEADER_BYTES);
    put(fatbin, 8, 8, ENTRY_BYTES + payload);
    put(entry, 0, 2, ENTRY_KIND_PTX);
    put(entry, 2, 2, ENTRY_VERSION);
    put(entry, 4, 4, ENTRY_BYTES);
    put(entry, 8, 8, payload);
    put(entry, 28, 4, arch);
    put(entry, 40, 8, ENTRY_FLAG_64BIT);
    memcpy(entry + ENTRY_BYTES, text, strlen(text));
    *out = fatbin;
    *out_bytes = bytes;
    return 0;
}

const char *fatbin_error_text(int error)
{
    switch (error) {
    case FATBIN_E_DAMAGED:
        return "the fatbin is damaged";
    case FATBIN_E_NO_PTX:
        return "the fatbin holds only machine code, which is not simulated; build it with PTX, as "
               "-arch=compute_75 does";
    case FATBIN_E_TOO_NEW:
        return "the fatbin holds PTX only for architectures newer than the simulated card's";
    default:
        return "out of memory";
    }
}

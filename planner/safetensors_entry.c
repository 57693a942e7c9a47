/* SPDX-License-Identifier: MIT */
#include "planner/safetensors_entry.h"

enum {
    HAS_TYPE = 1,
    HAS_SHAPE = 2,
    HAS_OFFSETS = 4,
    HAS_ALL = 7,
};

/* A list of at most `most` numbers. */
static bool take_numbers(struct scan *scan, uint64_t *out, uint32_t most, uint32_t *n)
{
    *n = 0;
    scan_array(scan);
    while (scan_item(scan)) {
        if (*n == most)
            return scan_fail(scan, scan->at, "there are more numbers than can be here");
        if (!scan_u64(scan, &out[*n]))
            return false;
        ++*n;
    }
    return !scan->wrong;
}

static bool take_offsets(struct scan *scan, struct entry *entry)
{
    uint64_t offsets[2];
    size_t start = scan->at;
    uint32_t n;

    if (!take_numbers(scan, offsets, 2, &n))
        return false;
    if (n != 2)
        return scan_fail(scan, start, "data_offsets are two numbers");
    entry->begin = offsets[0];
    entry->end = offsets[1];
    return true;
}

/* A value of an entry; unknown ones are passed over, as the format's own reader does. */
static bool take_field(struct scan *scan, struct text key, struct entry *entry)
{
    size_t start = scan->at;
    unsigned int which = text_equal(key, "dtype")          ? HAS_TYPE
                         : text_equal(key, "shape")        ? HAS_SHAPE
                         : text_equal(key, "data_offsets") ? HAS_OFFSETS
                                                           : 0;

    if (which == 0)
        return scan_skip(scan);
    if (entry->has & which)
        return scan_fail(scan, start, "a key of a tensor is there twice");
    entry->has |= which;
    if (which == HAS_TYPE)
        return scan_text(scan, &entry->type);
    if (which == HAS_SHAPE)
        return take_numbers(scan, entry->dims, TENSOR_MAX_DIMS, &entry->n_dims);
    return take_offsets(scan, entry);
}

bool entry_take(struct scan *scan, struct entry *entry)
{
    size_t start = scan->at;
    struct text key;

    *entry = (struct entry){0};
    scan_object(scan);
    while (scan_key(scan, &key))
        if (!take_field(scan, key, entry))
            return false;
    if (entry->has != HAS_ALL)
        return scan_fail(scan, start, "a tensor lacks dtype, shape or data_offsets");
    return !scan->wrong;
}

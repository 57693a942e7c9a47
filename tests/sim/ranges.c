/* SPDX-License-Identifier: MIT */
/*
 * A sorted array of pointers, searched by halving. Insertion moves the tail: thousands of ranges
 * are expected, not millions.
 */
#include "tests/sim/ranges.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

/* Index of the first range whose base is above `address`. */
static size_t index_above(const struct ranges *ranges, uint64_t address)
{
    size_t low = 0;
    size_t high = ranges->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (ranges->items[middle]->base <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool ranges_insert(struct ranges *ranges, struct range *range)
{
    size_t at = index_above(ranges, range->base);

    if (ranges->n == ranges->capacity) {
        size_t capacity = ranges->capacity ? 2 * ranges->capacity : 64;
        struct range **items = realloc(ranges->items, capacity * sizeof(*items));

        if (!items)
            return false;
        ranges->items = items;
        ranges->capacity = capacity;
    }
    memmove(&ranges->items[at + 1], &ranges->items[at], (ranges->n - at) * sizeof(*ranges->items));
    ranges->items[at] = range;
    ranges->n++;
    return true;
}

void ranges_remove(struct ranges *ranges, const struct range *range)
{
    size_t at = index_above(ranges, range->base);

    if (!at || ranges->items[at - 1] != range)
        abort();
    memmove(&ranges->items[at - 1], &ranges->items[at], (ranges->n - at) * sizeof(*ranges->items));
    ranges->n--;
}

void *ranges_find(const struct ranges *ranges, uint64_t address)
{
    size_t at = index_above(ranges, address);
    struct range *range = at ? ranges->items[at - 1] : NULL;

    return range && address - range->base < range->bytes ? range : NULL;
}

bool ranges_overlap(const struct ranges *ranges, uint64_t base, uint64_t bytes)
{
    size_t at = index_above(ranges, base + bytes - 1);
    const struct range *range = at ? ranges->items[at - 1] : NULL;

    return range && range->base + range->bytes > base;
}

static uint64_t distance(const struct range *range, uint64_t address)
{
    if (address < range->base)
        return range->base - address;
    return address < range->base + range->bytes ? 0 : address - (range->base + range->bytes) + 1;
}

void *ranges_nearest(const struct ranges *ranges, uint64_t address)
{
    size_t at = index_above(ranges, address);
    struct range *below = at ? ranges->items[at - 1] : NULL;
    struct range *above = at < ranges->n ? ranges->items[at] : NULL;

    if (!below || !above)
        return below ? below : above;
    return distance(below, address) <= distance(above, address) ? below : above;
}

uint64_t ranges_gap(const struct ranges *ranges, uint64_t low, uint64_t high, uint64_t bytes,
                    uint64_t alignment)
{
    uint64_t at = align_up(low, alignment);

    for (size_t i = 0; i < ranges->n; i++) {
        const struct range *range = ranges->items[i];

        if (range->base >= at && range->base - at >= bytes)
            break;
        at = max_u64(at, align_up(range->base + range->bytes, alignment));
    }
    return at <= high && high - at >= bytes ? at : 0;
}

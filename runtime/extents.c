/* SPDX-License-Identifier: MIT */
#include "runtime/extents.h"

uint32_t extent_first(const struct extent *extent)
{
    return (uint32_t)((extent->address - extent->range->base) >> residency.slot_shift);
}

uint32_t extent_last(const struct extent *extent)
{
    return (uint32_t)((extent->address - extent->range->base + extent->bytes - 1) >>
                      residency.slot_shift);
}

bool extent_has_turns(const struct extent *extent)
{
    for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
        if (atomic_load_explicit(&extent->range->blocks[i].takes_turns, memory_order_relaxed))
            return true;
    }
    return false;
}

struct trust_use extent_use(const struct launch *launch, const struct extent *extent)
{
    return (struct trust_use){
        .function = (uintptr_t)launch->function,
        .range = extent->range->id,
        .word = extent->word->offset,
        .first = extent_first(extent),
        .last = extent_last(extent),
    };
}

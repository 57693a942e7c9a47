/* SPDX-License-Identifier: MIT */
#include "planner/fit.h"

#include "runtime/util.h"

struct fit fit_judge(uint64_t weights, const struct budget *budget)
{
    struct fit fit = {.verdict = FIT_UNKNOWN};

    if (!budget->has_vram)
        return fit;
    fit.device_bytes = min_u64(weights, budget->vram);
    fit.host_bytes = min_u64(weights - fit.device_bytes, budget->ram);
    fit.short_bytes = weights - fit.device_bytes - fit.host_bytes;
    if (fit.short_bytes)
        fit.verdict = FIT_NOT;
    else
        fit.verdict = fit.host_bytes ? FIT_BOTH_TIERS : FIT_DEVICE;
    return fit;
}

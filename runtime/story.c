/* SPDX-License-Identifier: MIT */
#include "runtime/story.h"

#include "runtime/util.h"

void story_tell(struct story story, const struct story_facts *facts, uint64_t *out_free,
                uint64_t *out_total)
{
    uint64_t native = less_u64(facts->card_total - facts->card_free, facts->pool_held);
    uint64_t on_device = min_u64(facts->paged, facts->pool_held);

    switch (story.kind) {
    case STORY_PHYSICAL:
        *out_total = facts->card_total;
        *out_free = facts->card_free + less_u64(facts->pool_held, on_device);
        break;
    case STORY_VIRTUAL:
        *out_total = facts->card_total + facts->host_budget;
        *out_free = less_u64(facts->device_budget + facts->host_budget, facts->paged);
        break;
    case STORY_FIXED:
        *out_total = story.bytes;
        *out_free = less_u64(story.bytes, facts->paged + native);
        break;
    }
    *out_free = min_u64(*out_free, *out_total);
}

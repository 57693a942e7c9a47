/* SPDX-License-Identifier: MIT */
/* What the program is told when it asks how much memory there is: the facts of a card, for story.c.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "runtime/card.h"
#include "runtime/pager.h"
#include "runtime/stats.h"
#include "runtime/story.h"

static struct story_facts facts_of(const struct pager *pager, uint64_t card_free,
                                   uint64_t card_total)
{
    const struct pool *device = &pager->pools[TIER_DEVICE];
    const struct pool *host = &pager->pools[TIER_HOST];
    /* Shadows are given back when somebody needs the room. */
    uint64_t shadows = min_u64(stats_get(shadow_bytes), host->used);

    return (struct story_facts){
        .card_total = card_total,
        .card_free = card_free,
        .device_budget = device->budget,
        .host_budget = host->budget + pagers.cold.spill.budget,
        .pool_held = device->used + device->kept,
        .paged = device->used + host->used - shadows + stats_get(disk_bytes),
    };
}

void pager_memory_info(const struct driver *drv, uint64_t *free_bytes, uint64_t *total_bytes)
{
    struct story_facts facts;
    struct pager *pager;
    CUcontext ctx;

    pthread_mutex_lock(&pagers.lock);
    if (card_current(drv, &ctx, &pager) == 0) {
        facts = facts_of(pager, *free_bytes, *total_bytes);
        story_tell(pagers.config.story, &facts, free_bytes, total_bytes);
    }
    pthread_mutex_unlock(&pagers.lock);
}

uint64_t pager_total_memory(uint64_t total_bytes)
{
    struct story_facts facts = {.card_total = total_bytes, .card_free = total_bytes};
    uint64_t unused;

    pthread_mutex_lock(&pagers.lock);
    facts.host_budget = card_host_budget(&pagers.config);
    for (int i = 0; i < DEVICES_MAX; i++) {
        if (pagers.cards[i].state == CARD_PAGED)
            facts.host_budget = pagers.cards[i].pools[TIER_HOST].budget;
    }
    story_tell(pagers.config.story, &facts, &unused, &total_bytes);
    pthread_mutex_unlock(&pagers.lock);
    return total_bytes;
}

int pager_story(const unsigned char uuid[16], uint64_t *free_bytes, uint64_t *total_bytes)
{
    int r = -ENODEV;

    pthread_mutex_lock(&pagers.lock);
    for (int i = 0; i < DEVICES_MAX && r; i++) {
        struct pager *pager = &pagers.cards[i];
        struct story_facts facts;

        if (pager->state != CARD_PAGED || memcmp(&pager->uuid, uuid, 16) != 0)
            continue;
        facts = facts_of(pager, *free_bytes, *total_bytes);
        story_tell(pagers.config.story, &facts, free_bytes, total_bytes);
        r = 0;
    }
    pthread_mutex_unlock(&pagers.lock);
    return r;
}

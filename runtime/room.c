/* SPDX-License-Identifier: MIT */
#include "runtime/room.h"

#include <time.h>
#include "runtime/log.h"
#include "runtime/streaming.h"
#include "runtime/tally.h"

enum {
    MORE_SHARE = 16, /* of the ceiling: less is not worth a new plan */
};

struct room_choice room_choose(struct amount vram, const struct room_facts *facts)
{
    uint64_t ceiling = amount_resolve(vram, facts->free + facts->held, facts->total);
    bool more = ceiling > facts->ceiling + facts->ceiling / MORE_SHARE;

    return (struct room_choice){
        .ceiling = more ? ceiling : min_u64(ceiling, facts->ceiling),
        .evict = facts->used > ceiling ? facts->used - ceiling : 0,
        .more = more,
    };
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* At a safe point, with no plan. */
static void move_out(struct pager *pager, const struct driver *drv, uint64_t bytes)
{
    struct transfer *transfer;

    if (!streaming_make_way(pager, drv, &transfer))
        return;
    (void)card_evict(pager, drv, transfer, bytes, 0);
    card_leave(drv);
}

static void follow(struct pager *pager, const struct driver *drv)
{
    struct pool *pool = &pager->pools[TIER_DEVICE];
    struct room_facts facts = {
        .held = pool->used + pool->kept,
        .used = pool->used,
        .ceiling = pool->ceiling,
    };
    struct room_choice choice;
    size_t free_bytes;
    size_t total_bytes;

    if (drv->cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS)
        return;
    facts.free = free_bytes;
    facts.total = total_bytes;
    choice = room_choose(pagers.config.vram, &facts);
    pool->ceiling = pool->budget = choice.ceiling;
    if (facts.held > choice.ceiling)
        pool_trim(pool, drv);
    if (choice.evict) {
        log_info("device %d: others need the memory; %llu MiB of homes move out", pager->device,
                 (unsigned long long)(choice.evict / MIB));
        move_out(pager, drv, choice.evict);
        pool_trim(pool, drv);
    }
    if (choice.more)
        streaming_more_room(pager);
}

void room_follow(struct pager *pager, const struct driver *drv)
{
    uint64_t now = now_ms();

    if (now < pager->next_look || card_capture_is_open())
        return;
    pager->next_look = now + ROOM_EVERY_MS;
    tally_look(pager, drv);
    if (pagers.config.vram.leave_free)
        follow(pager, drv);
    else
        pool_forgive(&pager->pools[TIER_DEVICE]);
}

/* SPDX-License-Identifier: MIT */
#include "runtime/room.h"

#include <time.h>
#include "runtime/log.h"
#include "runtime/stats.h"
#include "runtime/streaming.h"
#include "runtime/tally.h"

enum {
    MORE_SHARE = 16, /* of the ceiling: less is not worth a new plan */
    OVER_SHARE = 16, /* of a share in company: so much more than that nobody has to give up */
};

/* Whoever wants less than an even share leaves the rest to the others. */
uint64_t room_share(uint64_t bytes, uint64_t wanted, const struct company_claim *others, size_t n)
{
    uint64_t left = bytes;
    uint64_t each = bytes / (n + 1);
    uint64_t before;
    size_t hungry;

    do {
        before = each;
        left = bytes;
        hungry = wanted > each;
        left -= hungry ? 0 : min_u64(wanted, left);
        for (size_t i = 0; i < n; i++) {
            hungry += others[i].wanted > each;
            left -= others[i].wanted > each ? 0 : min_u64(others[i].wanted, left);
        }
        each = hungry ? left / hungry : each;
    } while (each > before);
    return wanted > each ? each : ROOM_ALL;
}

struct room_choice room_choose(struct amount vram, const struct room_facts *facts)
{
    uint64_t all = amount_resolve(vram, facts->free + facts->held, facts->total);
    bool over =
        facts->used > facts->share && facts->used - facts->share > facts->share / OVER_SHARE;
    uint64_t share = over ? facts->share : max_u64(facts->share, facts->used);
    uint64_t ceiling = min_u64(all, share);
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

/* Wherever it is now. */
static uint64_t wanted_bytes(const struct pager *pager)
{
    return pager->pools[TIER_DEVICE].used + pager->pools[TIER_HOST].used + stats_get(disk_bytes);
}

/* Of what those have who share the card, and what is free. */
static uint64_t share_in_company(struct pager *pager, const struct driver *drv,
                                 const struct room_facts *facts)
{
    struct company_claim own = {.held = facts->held, .wanted = wanted_bytes(pager)};
    struct company_claim others[COMPANY_MOST];
    uint64_t bytes = facts->free + facts->held;
    size_t n;

    (void)company_open_code((const void *)(uintptr_t)drv->cuMemGetInfo_v2);
    company_tell((unsigned int)pager->device, card_identity(pager, drv), &own);
    n = company_ask((unsigned int)pager->device, others);
    for (size_t i = 0; i < n; i++)
        bytes += others[i].held;
    bytes = amount_resolve(pagers.config.vram, min_u64(bytes, facts->total), facts->total);
    return n ? room_share(bytes, own.wanted, others, n) : ROOM_ALL;
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
    facts.share = share_in_company(pager, drv, &facts);
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

static void look_at_card(struct pager *pager, const struct driver *drv)
{
    if (pager->state != CARD_PAGED || !pager->contexts ||
        drv->cuCtxPushCurrent_v2(pager->contexts->ctx) != CUDA_SUCCESS)
        return;
    pager->next_look = 0;
    room_follow(pager, drv);
    driver_pop_context(drv);
}

void room_hear(const struct driver *drv)
{
    if (card_capture_is_open())
        return;
    company_hear();
    for (int i = 0; i < DEVICES_MAX; i++)
        look_at_card(&pagers.cards[i], drv);
}

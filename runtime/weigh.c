/* SPDX-License-Identifier: MIT */
#include "runtime/weigh.h"

#include <stdlib.h>
#include "runtime/log.h"
#include "runtime/prepare.h"

enum {
    PROBES_MAX = 8192,
    LINK_COPIES = 4, /* chunks by which the link is measured */
};

/* One launch that read in place. */
struct probe {
    CUevent begin;
    CUevent end;
    bool ended;
    uint64_t function;
    struct probe *next;
    uint32_t n;
    struct away {
        uint64_t range; /* id */
        CUdeviceptr address;
        uint32_t block; /* in which it begins */
        uint64_t bytes;
    } away[]; /* what it was given */
};

/* All launches of a function. */
struct weight {
    uint64_t function;
    double ms;
    double away_bytes;
    UT_hash_handle hh;
};

/* Of the extent itself, not of the blocks it lies in. */
static uint64_t bytes_away(const struct extent *extent)
{
    uint64_t from = extent->address - extent->range->base;
    uint64_t to = from + extent->bytes;
    uint64_t bytes = 0;

    for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
        const struct block *block = &extent->range->blocks[i];
        uint64_t begin = (uint64_t)i << residency.slot_shift;

        if (block_tier(block) == TIER_HOST)
            bytes += min_u64(to, begin + block->bytes) - max_u64(from, begin);
    }
    return bytes;
}

static void probe_free(const struct driver *drv, struct probe *probe, bool alive)
{
    if (probe->begin && alive)
        (void)drv->cuEventDestroy_v2(probe->begin);
    if (probe->end && alive)
        (void)drv->cuEventDestroy_v2(probe->end);
    free(probe);
}

/* What is in use all the time has no place in the pass, and is not copied ahead. */
static bool may_be_copied(const struct pager *pager, const struct extent *extent)
{
    const struct block *first = &extent->range->blocks[extent_first(extent)];

    return extent->range->pager == pager &&
           (pager->streaming->side.on || pass_find(&pager->streaming->pass, piece_key(first)));
}

static struct probe *probe_new(const struct driver *drv, const struct extents *extents,
                               const struct pager *pager)
{
    struct probe *probe = calloc(1, sizeof(*probe) + extents->n * sizeof(probe->away[0]));

    if (!probe)
        return NULL;
    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];
        uint64_t bytes = may_be_copied(pager, extent) ? bytes_away(extent) : 0;

        if (bytes)
            probe->away[probe->n++] =
                (struct away){extent->range->id, extent->address, extent_first(extent), bytes};
    }
    if (probe->n && drv->cuEventCreate(&probe->begin, CU_EVENT_DEFAULT) == CUDA_SUCCESS &&
        drv->cuEventCreate(&probe->end, CU_EVENT_DEFAULT) == CUDA_SUCCESS)
        return probe;
    probe_free(drv, probe, true);
    return NULL;
}

struct redirect *weigh_launch(struct streaming *s, const struct driver *drv,
                              const struct launch *launch, const struct extents *extents,
                              struct pager *pager)
{
    struct redirect *redirect;
    struct probe *probe;

    if (!drv->cuEventElapsedTime || s->n_probes >= PROBES_MAX)
        return NULL;
    probe = probe_new(drv, extents, pager);
    if (!probe)
        return NULL;
    redirect = redirect_nowhere(launch);
    if (!redirect || drv->cuEventRecord(probe->begin, launch->stream) != CUDA_SUCCESS) {
        redirect_free(redirect);
        probe_free(drv, probe, true);
        return NULL;
    }
    redirect->pager = pager;
    redirect->plan = s->plan;
    redirect->stream = launch->stream;
    redirect->probe = probe;
    redirect->weighing = s->weighing;
    probe->function = (uintptr_t)launch->function;
    probe->next = s->probes;
    s->probes = probe;
    s->n_probes++;
    return redirect;
}

/* Another thread may have made something of what was timed in the meantime. */
void weigh_launched(const struct streaming *s, const struct driver *drv, struct redirect *redirect)
{
    if (redirect->probe && redirect->weighing == s->weighing)
        redirect->probe->ended =
            drv->cuEventRecord(redirect->probe->end, redirect->stream) == CUDA_SUCCESS;
}

void weigh_look_again(struct streaming *s)
{
    for (struct probe *probe = s->probes; probe; probe = probe->next) {
        for (uint32_t i = 0; i < probe->n; i++) {
            struct away *away = &probe->away[i];
            struct extent extent = {.range = pieces_range(s, away->range)};

            if (!extent.range)
                continue;
            extent.address = away->address;
            extent.bytes = range_named_extent(extent.range, extent.address);
            away->bytes = bytes_away(&extent);
        }
    }
}

static struct weight *weight_of(struct weight **all, uint64_t function, bool make)
{
    struct weight *found;

    HASH_FIND(hh, *all, &function, sizeof(function), found);
    if (found || !make)
        return found;
    found = calloc(1, sizeof(*found));
    if (!found)
        return NULL;
    found->function = function;
    HASH_ADD(hh, *all, function, sizeof(found->function), found);
    if (!found->hh.tbl) {
        free(found);
        return NULL;
    }
    return found;
}

/* What could have been copied ahead: of what is written nothing can. */
static uint64_t bytes_to_copy(const struct streaming *s, const struct probe *probe)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < probe->n; i++) {
        const struct away *away = &probe->away[i];
        struct range *range = pieces_range(s, away->range);
        const struct piece *piece = range ? piece_of(s, &range->blocks[away->block]) : NULL;

        if (piece && !piece->changed && !piece->beside)
            bytes += away->bytes;
    }
    return bytes;
}

static struct weight *add_up(const struct streaming *s, const struct driver *drv)
{
    struct weight *all = NULL;

    for (struct probe *probe = s->probes; probe; probe = probe->next) {
        uint64_t bytes = bytes_to_copy(s, probe);
        struct weight *weight = bytes ? weight_of(&all, probe->function, true) : NULL;
        float ms = 0;

        if (!weight || !probe->ended ||
            drv->cuEventElapsedTime(&ms, probe->begin, probe->end) != CUDA_SUCCESS)
            continue;
        weight->ms += (double)ms;
        weight->away_bytes += (double)bytes;
    }
    return all;
}

static void weights_free(struct weight *all)
{
    struct weight *weight;
    struct weight *next;

    HASH_ITER(hh, all, weight, next)
    {
        HASH_DEL(all, weight);
        free(weight);
    }
}

/* What a function was seen to do where its memory was away it is taken to do everywhere. What is
 * trusted already was judged before. */
static void judge(struct streaming *s, struct weight **all, double copied_ms_per_byte)
{
    for (struct trusted_use *u = s->trust.uses; u; u = u->hh.next) {
        const struct weight *weight = weight_of(all, u->use.function, false);
        struct range *range = pieces_range(s, u->use.range);
        bool slow = weight && weight->ms >= copied_ms_per_byte * weight->away_bytes;

        if (u->earned || !weight || !weight->away_bytes)
            continue;
        u->in_place = !slow;
        for (uint32_t i = u->use.first; range && i <= u->use.last && i < range->n_blocks; i++) {
            struct piece *piece = piece_of(s, &range->blocks[i]);

            if (!piece)
                continue;
            piece->wanted |= slow;
            piece->in_place |= !slow;
        }
    }
}

double weigh_link(struct streaming *s, const struct driver *drv)
{
    uint32_t n = s->ring.n_turns < LINK_COPIES ? s->ring.n_turns : LINK_COPIES;
    CUevent events[2] = {NULL, NULL};
    uint64_t bytes = 0;
    float ms = 0;
    bool good = drv->cuEventCreate(&events[0], CU_EVENT_DEFAULT) == CUDA_SUCCESS &&
                drv->cuEventCreate(&events[1], CU_EVENT_DEFAULT) == CUDA_SUCCESS &&
                !transfer_record(s->transfer, drv, events[0]);

    for (uint32_t i = 0; i < n && good; i++) {
        const struct turn *turn = &s->ring.turns[i];

        if (!turn->source)
            continue;
        good = !transfer_copy(s->transfer, drv, s->ring.slots[turn->slot].at, turn->source,
                              turn->bytes);
        bytes += turn->bytes;
    }
    good = good && !transfer_record(s->transfer, drv, events[1]) &&
           !transfer_wait(s->transfer, drv) &&
           drv->cuEventElapsedTime(&ms, events[0], events[1]) == CUDA_SUCCESS;
    for (int i = 0; i < 2; i++) {
        if (events[i])
            (void)drv->cuEventDestroy_v2(events[i]);
    }
    return good && bytes ? (double)ms / (double)bytes : 0;
}

/* The same, as it is known or else measured. */
static double look_up_link(struct streaming *s, const struct driver *drv,
                           const struct profile *costs)
{
    return profile_has(costs, PROFILE_h2d) ? 1e3 / (double)costs->h2d : weigh_link(s, drv);
}

/* As the settings want it, whatever that costs. */
static void judge_unheard(struct streaming *s, bool in_place)
{
    for (struct trusted_use *u = s->trust.uses; u; u = u->hh.next)
        u->in_place = in_place;
    for (uint32_t i = 0; i < s->n_pieces; i++)
        s->pieces[i].in_place = in_place;
}

uint32_t weigh_pieces(struct streaming *s, const struct driver *drv, const struct profile *costs)
{
    enum when when = pagers.config.in_place;
    struct weight *all = when == WHEN_AUTO ? add_up(s, drv) : NULL;
    double ms_per_byte = all ? look_up_link(s, drv, costs) : 0;
    uint32_t in_place = 0;

    if (when == WHEN_AUTO)
        judge(s, &all, ms_per_byte);
    else
        judge_unheard(s, when == WHEN_ALWAYS);
    weights_free(all);
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        s->pieces[i].in_place &= !s->pieces[i].wanted;
        in_place += s->pieces[i].in_place;
    }
    if (in_place)
        log_info("%u chunks are read in place%s", in_place,
                 when == WHEN_AUTO ? ", in less time than copying takes" : ", as is set");
    return in_place;
}

void weigh_forget(struct streaming *s, const struct driver *drv, bool alive)
{
    while (s->probes) {
        struct probe *probe = s->probes;

        s->probes = probe->next;
        probe_free(drv, probe, alive);
    }
    s->n_probes = 0;
    s->weighing++;
}

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
    uint64_t away_bytes; /* of the stretches */
    struct probe *next;
    uint32_t n;
    struct stretch stretches[];
};

static uint64_t bytes_away(const struct extent *extent)
{
    uint64_t bytes = 0;

    for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
        const struct block *block = &extent->range->blocks[i];

        bytes += block_tier(block) == TIER_HOST ? block->bytes : 0;
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

static struct probe *probe_new(const struct driver *drv, const struct extents *extents,
                               const struct pager *pager)
{
    struct probe *probe = calloc(1, sizeof(*probe) + extents->n * sizeof(probe->stretches[0]));

    if (!probe)
        return NULL;
    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];
        uint64_t away = extent->range->pager == pager ? bytes_away(extent) : 0;

        if (!away)
            continue;
        probe->away_bytes += away;
        probe->stretches[probe->n++] =
            (struct stretch){extent->range->id, extent_first(extent), extent_last(extent)};
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
    redirect = redirect_new(launch);
    if (!redirect || drv->cuEventRecord(probe->begin, launch->stream) != CUDA_SUCCESS) {
        redirect_free(redirect);
        probe_free(drv, probe, true);
        return NULL;
    }
    redirect->pager = pager;
    redirect->plan = s->plan;
    redirect->stream = launch->stream;
    redirect->probe = probe;
    probe->next = s->probes;
    s->probes = probe;
    s->n_probes++;
    return redirect;
}

void weigh_launched(const struct driver *drv, struct redirect *redirect)
{
    redirect->probe->ended =
        drv->cuEventRecord(redirect->probe->end, redirect->stream) == CUDA_SUCCESS;
}

/* Each piece's share of what a launch took. */
static void charge(struct streaming *s, const struct probe *probe, double ms)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];

        for (uint32_t k = 0; piece->turn >= 0 && k < probe->n; k++) {
            const struct stretch *stretch = &probe->stretches[k];

            if (piece->block->range->id == stretch->range &&
                piece->block->index >= stretch->first && piece->block->index <= stretch->last)
                piece->in_place_ms += ms * (double)piece->block->bytes / (double)probe->away_bytes;
        }
    }
}

/* Milliseconds per byte; 0 when it cannot be measured. */
static double measure_link(struct streaming *s, const struct driver *drv)
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

uint32_t weigh_pieces(struct streaming *s, const struct driver *drv)
{
    double ms_per_byte = measure_link(s, drv);
    uint32_t in_place = 0;

    for (struct probe *probe = s->probes; probe; probe = probe->next) {
        float ms = 0;

        if (probe->ended && drv->cuEventElapsedTime(&ms, probe->begin, probe->end) == CUDA_SUCCESS)
            charge(s, probe, (double)ms);
    }
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];
        double copied = ms_per_byte * (double)piece->block->bytes;

        piece->in_place = piece->turn >= 0 && piece->in_place_ms > 0 && piece->in_place_ms < copied;
        in_place += piece->in_place;
    }
    if (in_place)
        log_info("%u chunks are read in place, in less time than copying takes", in_place);
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
}

/* SPDX-License-Identifier: MIT */
/*
 * A chunk that comes to the device leaves its bytes in host memory, as a shadow, with their digest.
 * When it has to go again, and its digest is still the same, the shadow becomes its home: nothing
 * is copied. What was written meanwhile has another digest, and is copied.
 */
#include "runtime/experts.h"

#include <stdlib.h>
#include "runtime/heat.h"
#include "runtime/log.h"
#include "runtime/move.h"
#include "runtime/prepare.h"
#include "runtime/stats.h"

enum {
    SWAPS_MAX = 64, /* at one safe point */
};

bool experts_drop_shadows(struct pager *pager, const struct driver *drv)
{
    bool any = false;

    for (struct range *range = residency.ranges; range; range = range->next) {
        for (uint32_t i = 0; i < range->n_blocks && range->pager == pager; i++) {
            any |= range->blocks[i].shadow != NULL;
            move_drop_shadow(pager->pools, drv, &range->blocks[i]);
        }
    }
    return any;
}

/* What goes and what comes. */
struct swap {
    struct heat_piece *pieces;
    struct block **blocks; /* of these */
    uint32_t n;
    struct block **out;
    size_t n_out;
    struct block **in;
    size_t n_in;
};

static void swap_fini(struct swap *swap)
{
    free(swap->pieces);
    free(swap->blocks);
    free(swap->out);
    free(swap->in);
}

static bool swap_init(struct swap *swap, const struct streaming *s)
{
    *swap = (struct swap){
        .pieces = calloc(s->n_pieces, sizeof(*swap->pieces)),
        .blocks = calloc(s->n_pieces, sizeof(struct block *)),
        .out = calloc(s->n_pieces, sizeof(struct block *)),
        .in = calloc(s->n_pieces, sizeof(struct block *)),
    };
    return swap->pieces && swap->blocks && swap->out && swap->in;
}

/* Of what is known, and only read. */
static void list_pieces(struct swap *swap, const struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        const struct piece *piece = &s->pieces[i];

        if (!piece->block->looks || block_tier(piece->block) == TIER_DISK || !piece->in_place ||
            piece->changed || piece->beside || block_is_pinned(piece->block, TIER_HOST) ||
            block_is_pinned(piece->block, TIER_DEVICE))
            continue;
        swap->blocks[swap->n] = piece->block;
        swap->pieces[swap->n++] = (struct heat_piece){
            .heat = piece->block->heat,
            .bytes = piece->block->bytes,
            .resident = block_tier(piece->block) == TIER_DEVICE,
        };
    }
}

static void choose(struct swap *swap, const struct pager *pager)
{
    if (!heat_swap(swap->pieces, swap->n, pool_room(&pager->pools[TIER_DEVICE]), SWAPS_MAX))
        return;
    for (uint32_t i = 0; i < swap->n; i++) {
        bool resident = block_tier(swap->blocks[i]) == TIER_DEVICE;

        if (resident && !swap->pieces[i].resident)
            swap->out[swap->n_out++] = swap->blocks[i];
        else if (!resident && swap->pieces[i].resident)
            swap->in[swap->n_in++] = swap->blocks[i];
    }
}

/* Digests of those on the device that have a shadow; calls for each. */
static void digest_shadowed(struct pager *pager, const struct driver *drv,
                            struct block *const *blocks, size_t n,
                            void (*each)(struct pager *, const struct driver *, struct block *,
                                         const uint64_t *))
{
    struct streaming *s = pager->streaming;
    struct digest_span *spans = calloc(n + 1, sizeof(*spans));
    size_t n_spans = 0;
    bool good;

    for (size_t i = 0; spans && i < n; i++) {
        if (blocks[i]->shadow)
            spans[n_spans++] =
                (struct digest_span){.at = block_address(blocks[i]), .bytes = blocks[i]->bytes};
    }
    good = spans && digest_spans(&s->digester, drv, s->transfer->stream, spans, n_spans) == 0;
    n_spans = 0;
    for (size_t i = 0; i < n; i++) {
        if (blocks[i]->shadow)
            each(pager, drv, blocks[i], good ? &spans[n_spans++].digest : NULL);
    }
    free(spans);
}

static void keep_digest(struct pager *pager, const struct driver *drv, struct block *block,
                        const uint64_t *digest)
{
    if (digest)
        block->shadow_digest = *digest;
    else
        move_drop_shadow(pager->pools, drv, block);
}

static void compare_digest(struct pager *pager, const struct driver *drv, struct block *block,
                           const uint64_t *digest)
{
    if (!digest || *digest != block->shadow_digest)
        move_drop_shadow(pager->pools, drv, block);
}

/* Out and in by turns: when both tiers are nearly full, each makes room for the other. */
static bool swap_homes(struct swap *swap, struct pager *pager, const struct driver *drv)
{
    struct mover mover = {
        .drv = drv,
        .pools = pager->pools,
        .transfer = pager->streaming->transfer,
        .access = &pager->access,
        .shadows = true,
    };
    size_t out = 0;
    size_t in = 0;
    size_t gone;
    size_t come;

    digest_shadowed(pager, drv, swap->out, swap->n_out, compare_digest);
    do {
        gone = move_to_host(&mover, swap->out + out, swap->n_out - out);
        come = move_to_device(&mover, swap->in + in, swap->n_in - in);
        out += gone;
        in += come;
    } while ((gone || come) && (out < swap->n_out || in < swap->n_in));
    digest_shadowed(pager, drv, swap->in, in, keep_digest);
    stats_add(chunks_swapped, in);
    return in > 0;
}

bool experts_swap(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct transfer *transfer;
    struct swap swap;
    bool done;

    if (swap_init(&swap, s)) {
        list_pieces(&swap, s);
        choose(&swap, pager);
    }
    done = !swap.n_in && !swap.n_out;
    if (!done && card_enter(pager, drv, &transfer)) {
        log_debug("%zu chunks of what is read sparsely come to the device", swap.n_in);
        done = swap_homes(&swap, pager, drv);
        card_leave(drv);
    }
    swap_fini(&swap);
    return done;
}

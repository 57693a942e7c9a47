/* SPDX-License-Identifier: MIT */
/*
 * The even share is a running total: after each piece, no more is resident than the share of the
 * budget that the pieces so far have of all bytes. That spreads pieces of any sizes, and what is
 * left over is less than the largest piece.
 *
 * Sparse pieces of which nothing is known are not taken evenly but at random, always the same: were
 * every second one taken, and what is read together two pieces long, then whatever is read would
 * take equally long, and nothing could be learned from that.
 */
#include "runtime/spread.h"

#include <stdlib.h>

static uint64_t take(struct spread_piece *piece, uint64_t *budget)
{
    piece->resident = piece->bytes <= *budget;
    if (!piece->resident)
        return 0;
    *budget -= piece->bytes;
    return piece->bytes;
}

static uint64_t take_class(struct spread_piece *pieces, uint32_t n, enum spread_class class,
                           uint64_t *budget)
{
    uint64_t taken = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (pieces[i].class == class)
            taken += take(&pieces[i], budget);
    }
    return taken;
}

static uint64_t bytes_of(const struct spread_piece *pieces, uint32_t n, enum spread_class class)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < n; i++)
        bytes += pieces[i].class == class ? pieces[i].bytes : 0;
    return bytes;
}

static uint64_t take_evenly(struct spread_piece *pieces, uint32_t n, uint64_t budget)
{
    uint64_t all = bytes_of(pieces, n, SPREAD_STREAMED);
    uint64_t passed = 0;
    uint64_t taken = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t share;

        if (pieces[i].class != SPREAD_STREAMED)
            continue;
        passed += pieces[i].bytes;
        share = budget >= all ? passed : (uint64_t)((unsigned __int128)budget * passed / all);
        pieces[i].resident = taken + pieces[i].bytes <= share;
        taken += pieces[i].resident ? pieces[i].bytes : 0;
    }
    return taken;
}

static uint64_t lot(const struct spread_piece *pieces, const struct spread_piece *piece)
{
    uint64_t mixed = (uint64_t)(piece - pieces + 1) * 0x9e3779b97f4a7c15u;

    return (mixed ^ mixed >> 31) * 0xbf58476d1ce4e5b9u;
}

struct drawn {
    struct spread_piece *piece;
    uint64_t lot;
};

static int by_heat(const void *left, const void *right)
{
    const struct drawn *a = left;
    const struct drawn *b = right;

    if (a->piece->heat != b->piece->heat)
        return a->piece->heat > b->piece->heat ? -1 : 1;
    return a->lot < b->lot ? -1 : a->lot > b->lot;
}

static uint64_t take_sparse(struct spread_piece *pieces, uint32_t n, uint64_t *budget)
{
    struct drawn *drawn = calloc(n + 1, sizeof(*drawn));
    uint32_t n_drawn = 0;
    uint64_t taken = 0;

    for (uint32_t i = 0; drawn && i < n; i++) {
        if (pieces[i].class == SPREAD_SPARSE)
            drawn[n_drawn++] = (struct drawn){&pieces[i], lot(pieces, &pieces[i])};
    }
    if (drawn)
        qsort(drawn, n_drawn, sizeof(*drawn), by_heat);
    for (uint32_t i = 0; i < n_drawn; i++)
        taken += take(drawn[i].piece, budget);
    free(drawn);
    return taken;
}

uint64_t spread_residents(struct spread_piece *pieces, uint32_t n, uint64_t budget)
{
    uint64_t left = budget;
    uint64_t taken = take_class(pieces, n, SPREAD_WRITTEN, &left);

    uint64_t evenly;

    taken += take_class(pieces, n, SPREAD_AGAIN, &left);
    evenly = take_evenly(pieces, n, left);
    left -= evenly;
    taken += take_sparse(pieces, n, &left);
    return taken + evenly + take_class(pieces, n, SPREAD_IDLE, &left);
}

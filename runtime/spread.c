/* SPDX-License-Identifier: MIT */
/*
 * The even share is a running total: after each piece, no more is resident than the share of the
 * budget that the pieces so far have of all bytes. That spreads pieces of any sizes, and what is
 * left over is less than the largest piece.
 */
#include "runtime/spread.h"

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

uint64_t spread_residents(struct spread_piece *pieces, uint32_t n, uint64_t budget)
{
    uint64_t left = budget;
    uint64_t taken = take_class(pieces, n, SPREAD_WRITTEN, &left);

    uint64_t evenly;

    taken += take_class(pieces, n, SPREAD_AGAIN, &left);
    evenly = take_evenly(pieces, n, left);
    left -= evenly;
    return taken + evenly + take_class(pieces, n, SPREAD_IDLE, &left);
}

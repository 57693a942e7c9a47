/* SPDX-License-Identifier: MIT */
/*
 * The share is a running total: after each piece, no more is resident than the pieces so far are
 * due. That spreads pieces of any sizes, and what is left over is less than the largest piece.
 *
 * What a piece is due is the same for all but those of long buffers. Of none more than so many
 * bytes are away, the least number with which all others give hardly more than they would anyway.
 *
 * Sparse pieces of which nothing is known are not taken evenly but at random, always the same: were
 * every second one taken, and what is read together two pieces long, then whatever is read would
 * take equally long, and nothing could be learned from that.
 */
#include "runtime/spread.h"

#include <stdlib.h>
#include "runtime/util.h"

enum {
    ONE_BITS = 32,
    MOST_BITS = 20,    /* behind the point */
    ROUNDING_BITS = 6, /* of a piece */
    UNEVEN_SHARE = 8,  /* of what is away: so much more may be for the sake of long buffers */
    LOOK_BACK = 64,    /* kinds */
    RING_SHARE = 4,    /* of the budget: the most that a ring takes, */
    SOME_SHARE = 2,    /* or, for the slots that it should have, such a share */
    AT_ONCE = 2,       /* rings' worth of what is read at once: read, and arriving */
};

#define ONE ((uint64_t)1 << ONE_BITS)

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

static uint64_t length_of(const struct spread_piece *piece)
{
    return max_u64(piece->length, max_u64(piece->bytes, 1));
}

static uint64_t bytes_of(const struct spread_piece *pieces, uint32_t n, enum spread_class class)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < n; i++)
        bytes += pieces[i].class == class ? pieces[i].bytes : 0;
    return bytes;
}

/* How many of ONE in all bytes of such a buffer may be away. */
static uint64_t away_of(const struct spread_share *share, uint64_t length)
{
    unsigned __int128 rate =
        ((unsigned __int128)share->most << (ONE_BITS - MOST_BITS)) / max_u64(length, 1);

    return rate < share->usual ? (uint64_t)rate : share->usual;
}

uint64_t spread_away(const struct spread_share *share, uint64_t length)
{
    return (uint64_t)(((unsigned __int128)length * away_of(share, length) + ONE - 1) >> ONE_BITS);
}

void spread_add(struct spread_kind *kinds, uint32_t *n, uint64_t length, uint64_t bytes)
{
    uint32_t i = *n;

    while (i > 0 && *n - i < LOOK_BACK && kinds[i - 1].length != length)
        i--;
    if (i > 0 && kinds[i - 1].length == length)
        kinds[i - 1].bytes += bytes;
    else
        kinds[(*n)++] = (struct spread_kind){length, bytes};
}

static bool is_enough(const struct spread_kind *kinds, uint32_t n, const struct spread_share *share,
                      uint64_t away)
{
    unsigned __int128 sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += (unsigned __int128)kinds[i].bytes * away_of(share, kinds[i].length);
    return sum >= (unsigned __int128)away << ONE_BITS;
}

static uint64_t bytes_of_kinds(const struct spread_kind *kinds, uint32_t n)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < n; i++)
        bytes += kinds[i].bytes;
    return bytes;
}

/* The least `most` with which none gives much more than usual. */
struct spread_share spread_share(const struct spread_kind *kinds, uint32_t n, uint64_t away)
{
    uint64_t all = bytes_of_kinds(kinds, n);
    uint64_t even = all ? (uint64_t)(((unsigned __int128)away << ONE_BITS) / all) + 1 : 0;
    struct spread_share share = {.usual = min_u64(even + even / UNEVEN_SHARE, ONE)};
    uint64_t enough = all << MOST_BITS;

    while (share.most < enough) {
        uint64_t middle = share.most + (enough - share.most) / 2;
        struct spread_share less = {.usual = share.usual, .most = middle};

        if (is_enough(kinds, n, &less, away))
            enough = middle;
        else
            share.most = middle + 1;
    }
    return share;
}

uint64_t spread_ring_for(uint64_t chunks, uint64_t budget, uint64_t chunk, uint64_t slots)
{
    uint64_t some = min_u64(slots * chunk, budget / SOME_SHARE);
    uint64_t least = max_u64(SPREAD_LEAST_SLOTS * chunk, some);

    return min_u64(AT_ONCE * max_u64(chunks, 1) * chunk, max_u64(budget / RING_SHARE, least));
}

/* With no larger one than it takes for what is then away: that is more, the larger it is. */
uint64_t spread_ring(const struct spread_kind *kinds, uint32_t n, uint64_t room, uint64_t budget,
                     uint64_t chunk)
{
    uint64_t all = bytes_of_kinds(kinds, n);
    uint64_t wanted = SPREAD_LEAST_SLOTS * chunk;
    uint64_t ring;

    if (all <= min_u64(room, budget))
        return 0;
    do {
        struct spread_share share;
        uint64_t most = 0;

        ring = wanted;
        if (ring >= budget)
            return ring;
        share = spread_share(kinds, n, all - min_u64(min_u64(room, budget - ring), all));
        for (uint32_t i = 0; i < n; i++)
            most = max_u64(most, spread_away(&share, kinds[i].length));
        wanted = spread_ring_for((most + chunk - 1) / chunk, budget, chunk, SPREAD_SOME_SLOTS);
    } while (wanted > ring);
    return ring;
}

static uint64_t take_evenly(struct spread_piece *pieces, uint32_t n, enum spread_class class,
                            uint64_t budget)
{
    uint64_t all = bytes_of(pieces, n, class);
    struct spread_kind *kinds = calloc(n + 1, sizeof(*kinds));
    struct spread_share share = {.most = UINT64_MAX >> 1};
    unsigned __int128 due = 0;
    unsigned __int128 rounded;
    uint32_t n_kinds = 0;
    uint64_t taken = 0;

    for (uint32_t i = 0; kinds && i < n; i++) {
        if (pieces[i].class == class)
            spread_add(kinds, &n_kinds, length_of(&pieces[i]), pieces[i].bytes);
    }
    if (budget < all && kinds)
        share = spread_share(kinds, n_kinds, all - budget);
    else if (budget < all)
        share.usual = (uint64_t)(((unsigned __int128)(all - budget) << ONE_BITS) / all) + 1;
    free(kinds);
    for (uint32_t i = 0; i < n; i++) {
        struct spread_piece *piece = &pieces[i];

        if (piece->class != class)
            continue;
        due += (unsigned __int128)piece->bytes * (ONE - away_of(&share, length_of(piece)));
        /* What is due is rounded down: by a little less than a piece it is due all the same. */
        rounded = (unsigned __int128)piece->bytes << (ONE_BITS - ROUNDING_BITS);
        piece->resident = taken + piece->bytes <= budget &&
                          (unsigned __int128)(taken + piece->bytes) << ONE_BITS <= due + rounded;
        taken += piece->resident ? piece->bytes : 0;
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
    static const enum spread_class evenly[] = {SPREAD_STREAMED, SPREAD_SELDOM};
    uint64_t left = budget;

    (void)take_class(pieces, n, SPREAD_WRITTEN, &left);
    (void)take_class(pieces, n, SPREAD_AGAIN, &left);
    for (size_t i = 0; i < ARRAY_SIZE(evenly); i++)
        left -= take_evenly(pieces, n, evenly[i], left);
    (void)take_sparse(pieces, n, &left);
    (void)take_class(pieces, n, SPREAD_IDLE, &left);
    return budget - left;
}

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
};

#define ONE ((uint64_t)1 << ONE_BITS)

/* What may be away: so much of everything, but of one buffer no more than `most`. */
struct share {
    uint64_t usual; /* of ONE */
    uint64_t most;  /* bytes, times 2 to the power of MOST_BITS */
};

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

/* How many of ONE in all bytes of such a piece may be away. */
static uint64_t away_of(const struct spread_piece *piece, const struct share *share)
{
    uint64_t length = max_u64(piece->length, max_u64(piece->bytes, 1));
    unsigned __int128 rate = ((unsigned __int128)share->most << (ONE_BITS - MOST_BITS)) / length;

    return rate < share->usual ? (uint64_t)rate : share->usual;
}

static bool is_enough(const struct spread_piece *pieces, uint32_t n, enum spread_class class,
                      const struct share *share, uint64_t away)
{
    unsigned __int128 sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (pieces[i].class == class)
            sum += (unsigned __int128)pieces[i].bytes * away_of(&pieces[i], share);
    }
    return sum >= (unsigned __int128)away << ONE_BITS;
}

/* The least that lets `away` of `all` bytes be away, when no piece gives much more than usual. */
static struct share find_share(const struct spread_piece *pieces, uint32_t n,
                               enum spread_class class, uint64_t all, uint64_t away)
{
    uint64_t even = (uint64_t)(((unsigned __int128)away << ONE_BITS) / all) + 1;
    struct share share = {.usual = min_u64(even + even / UNEVEN_SHARE, ONE)};
    uint64_t enough = all << MOST_BITS;

    while (share.most < enough) {
        uint64_t middle = share.most + (enough - share.most) / 2;
        struct share less = {.usual = share.usual, .most = middle};

        if (is_enough(pieces, n, class, &less, away))
            enough = middle;
        else
            share.most = middle + 1;
    }
    return share;
}

static uint64_t take_evenly(struct spread_piece *pieces, uint32_t n, enum spread_class class,
                            uint64_t budget)
{
    uint64_t all = bytes_of(pieces, n, class);
    struct share share = {0};
    unsigned __int128 due = 0;
    unsigned __int128 rounded;
    uint64_t taken = 0;

    if (budget < all)
        share = find_share(pieces, n, class, all, all - budget);
    for (uint32_t i = 0; i < n; i++) {
        struct spread_piece *piece = &pieces[i];

        if (piece->class != class)
            continue;
        due += (unsigned __int128)piece->bytes * (ONE - away_of(piece, &share));
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

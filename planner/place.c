/* SPDX-License-Identifier: MIT */
/*
 * Of dense pieces only how many bytes stay matters, and that they lie evenly in the pass: the
 * copies take (W - B) / link, beside the computing. What is read in place comes on top. So the
 * device is shared between the two kinds in one of three ways, of which the fastest is taken: dense
 * pieces first, sparse first, or just as many dense ones as it takes to hide the copies.
 *
 * Each of the three alone gets no slower with more memory (the ring is kept in bytes, not in
 * chunks, so that it grows without steps), and neither does the fastest of them.
 */
#include "planner/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/spread.h"
#include "runtime/util.h"

enum {
    RING_SHARE = 4, /* of the budget: the most that the ring takes, as in runtime/prepare.c */
    LEAST_CHUNKS = 2,
    AHEAD_SHARE = 4,
};

/* Of the shorter of computing and copying, what does not go on beside the longer: about a tenth, in
 * virtual time, of passes that computing and copying take alike. */
#define NOT_HIDDEN 0.1

/* What is summed up once. */
struct sums {
    uint64_t dense, sparse, longest;
};

static struct sums sum(const struct place_piece *pieces, size_t n)
{
    struct sums sums = {0};

    for (size_t i = 0; i < n; i++) {
        *(pieces[i].dense ? &sums.dense : &sums.sparse) += pieces[i].bytes;
        if (pieces[i].dense)
            sums.longest = max_u64(sums.longest, pieces[i].bytes);
    }
    return sums;
}

uint64_t place_least_ring(const struct place_request *request)
{
    return LEAST_CHUNKS * request->chunk;
}

/* For so many dense bytes, of which so many have room: what the longest piece is expected to have
 * in the ring, and some more that arrives meanwhile. */
static uint64_t ring_bytes(const struct place_request *request, const struct sums *sums,
                           uint64_t room)
{
    uint64_t away = sums->dense > room ? sums->dense - room : 0;
    uint64_t read, wanted;

    if (!away || !request->may_stream)
        return 0;
    if (request->ring)
        return request->ring;
    /* A piece begins anywhere in a chunk, and so touches one more. */
    read = (uint64_t)((double)(sums->longest / request->chunk + 2) *
                      ((double)away / (double)sums->dense));
    read = (read + 2) * request->chunk;
    wanted = read + max_u64(2 * request->chunk, read / AHEAD_SHARE);
    return min_u64(wanted, max_u64(request->budget / RING_SHARE, place_least_ring(request)));
}

/* A kind of pieces that are treated alike. */
struct share {
    bool dense;
    double density; /* of sparse pieces */
};

static double density_of(const struct place_piece *piece)
{
    return piece->bytes ? (double)piece->touched / (double)piece->bytes : 0;
}

static bool is_of(const struct place_piece *piece, const struct share *share)
{
    return piece->dense == share->dense && (share->dense || density_of(piece) == share->density);
}

/* Marks an even share of them as resident; returns their bytes. */
static uint64_t spread(struct place_piece *pieces, size_t n, const struct share *share,
                       uint64_t budget, struct spread_piece *scratch)
{
    uint32_t count = 0;
    uint64_t taken;

    for (size_t i = 0; i < n; i++)
        if (is_of(&pieces[i], share))
            scratch[count++] = (struct spread_piece){.bytes = pieces[i].bytes};
    taken = spread_residents(scratch, count, budget);
    count = 0;
    for (size_t i = 0; i < n; i++)
        if (is_of(&pieces[i], share) && scratch[count++].resident)
            pieces[i].tier = PLACE_DEVICE;
    return taken;
}

/* The densest of the sparse pieces that are less dense than `below`; negative when there is none.
 */
static double next_density(const struct place_piece *pieces, size_t n, double below)
{
    double best = -1;

    for (size_t i = 0; i < n; i++) {
        double density = density_of(&pieces[i]);

        if (!pieces[i].dense && density < below && density > best)
            best = density;
    }
    return best;
}

static uint64_t bytes_of(const struct place_piece *pieces, size_t n, double density)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += !pieces[i].dense && density_of(&pieces[i]) == density ? pieces[i].bytes : 0;
    return bytes;
}

/* How the device is shared. */
struct split {
    uint64_t ring, dense, sparse;
};

/* At most `target` bytes of dense residents. */
static struct split split_at(const struct place_request *request, const struct sums *sums,
                             uint64_t target)
{
    uint64_t room = min_u64(min_u64(target, request->budget), sums->dense);
    struct split split = {.ring = min_u64(ring_bytes(request, sums, room), request->budget)};

    split.dense = min_u64(room, request->budget - split.ring);
    split.sparse = request->cache ? request->budget - split.ring - split.dense : 0;
    return split;
}

/* Sparse pieces, the densest first; *left of the device is left behind them. */
static void reckon_sparse(const struct place_piece *pieces, size_t n, uint64_t *left,
                          struct placement *out)
{
    double density = next_density(pieces, n, 2);

    for (; density >= 0; density = next_density(pieces, n, density)) {
        uint64_t bytes = bytes_of(pieces, n, density);
        uint64_t stays = min_u64(bytes, *left);

        *left -= stays;
        out->device += stays;
        out->host += bytes - stays;
        out->in_place += (uint64_t)((double)(bytes - stays) * density);
    }
}

/* What a split comes to, in bytes: the shim moves chunks, which tensors' borders do not stop. */
static struct placement reckon(const struct place_piece *pieces, size_t n,
                               const struct place_request *request, const struct sums *sums,
                               const struct split *split)
{
    struct placement out = {.fits = true, .ring = split->ring, .device = split->dense};
    uint64_t left = split->sparse;
    double copies, reads;

    out.host = sums->dense - split->dense;
    *(request->may_stream ? &out.streamed : &out.in_place) = out.host;
    reckon_sparse(pieces, n, &left, &out);
    copies = (double)out.streamed / request->link;
    reads = (double)out.in_place / request->in_place;
    out.seconds = (copies > request->compute ? copies + NOT_HIDDEN * request->compute
                                             : request->compute + NOT_HIDDEN * copies) +
                  reads;
    return out;
}

/* Marks whole pieces, at most as many bytes as the split has. */
static void mark(struct place_piece *pieces, size_t n, const struct place_request *request,
                 const struct split *split, struct spread_piece *scratch, struct placement *out)
{
    uint64_t left = split->sparse;
    double density = next_density(pieces, n, 2);

    for (size_t i = 0; i < n; i++)
        pieces[i].tier = pieces[i].dense && request->may_stream ? PLACE_STREAM : PLACE_INPLACE;
    spread(pieces, n, &(struct share){.dense = true}, split->dense, scratch);
    for (; density >= 0; density = next_density(pieces, n, density))
        left -= spread(pieces, n, &(struct share){.density = density}, left, scratch);
    for (size_t i = 0; i < n; i++) {
        out->n_dense += pieces[i].dense;
        out->n_streamed += pieces[i].tier == PLACE_STREAM;
    }
}

/* Sparse pieces first: dense ones get what these leave, and the ring. */
static uint64_t target_behind_sparse(const struct place_request *request, const struct sums *sums)
{
    uint64_t used = min_u64(request->budget, sums->sparse);
    uint64_t ring = ring_bytes(request, sums, request->budget - used);

    return request->budget - used > ring ? request->budget - used - ring : 0;
}

/* As many as it takes for the copies to be no longer than the computing. */
static uint64_t target_hidden(const struct place_request *request, const struct sums *sums)
{
    double away = request->compute * request->link;

    return away >= (double)sums->dense ? 0 : sums->dense - (uint64_t)away;
}

static struct split choose(const struct place_piece *pieces, size_t n,
                           const struct place_request *request, const struct sums *sums,
                           struct placement *out)
{
    const uint64_t targets[] = {UINT64_MAX, target_behind_sparse(request, sums),
                                target_hidden(request, sums)};
    struct split best = {0};

    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        struct split split = split_at(request, sums, request->all_away ? 0 : targets[i]);
        struct placement placement = reckon(pieces, n, request, sums, &split);

        if (i == 0 || placement.seconds < out->seconds) {
            *out = placement;
            best = split;
        }
    }
    return best;
}

int place_pieces(struct place_piece *pieces, size_t n, const struct place_request *request,
                 struct placement *out)
{
    struct spread_piece *scratch = calloc(n ? n : 1, sizeof(*scratch));
    struct sums sums = sum(pieces, n);
    uint64_t least = sums.dense > request->budget && request->may_stream
                         ? max_u64(place_least_ring(request), request->ring)
                         : 0;
    struct split split;

    if (!scratch)
        return -ENOMEM;
    split = choose(pieces, n, request, &sums, out);
    mark(pieces, n, request, &split, scratch, out);
    out->fits = request->budget >= least;
    out->short_by = out->fits ? 0 : least - request->budget;
    free(scratch);
    return 0;
}

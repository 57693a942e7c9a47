/* SPDX-License-Identifier: MIT */
/*
 * Of dense pieces only how many bytes stay matters, and that they lie evenly in the pass: the
 * copies take (W - B) / link, beside the computing. What is read in place comes on top. So the
 * device is shared between the two kinds in one of three ways, of which the fastest is taken: dense
 * pieces first, sparse first, or just as many dense ones as it takes to hide the copies.
 *
 * What is copied are whole chunks, by a ring as runtime/spread.h has it. Where the budget is too
 * small for that ring, launches that want more at once than it has read in place, and those that
 * want more than half of it wait for their copies.
 *
 * Each of the three alone gets no slower with more memory, and neither does the fastest of them.
 */
#include "planner/place.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/spread.h"
#include "runtime/util.h"

enum {
    LEAST_CHUNKS = 2,
    NEARLY = 16, /* of a chunk: what is written so little of is not paged, so that it is whole */
};

/* Of the shorter of computing and copying, what does not go on beside the longer: about a tenth, in
 * virtual time, of passes that computing and copying take alike. */
#define NOT_HIDDEN 0.1

/* What is pinned to the host. */
struct away {
    uint64_t streamed, longest;
    uint64_t bytes, touched; /* of what is not streamed */
};

/* What is summed up once. */
struct sums {
    uint64_t dense, sparse;
    struct spread_kind *kinds; /* of the dense */
    uint32_t n_kinds;
    struct away away;
};

/* What is pinned to the host takes turns when it is dense, and else is read there. */
static void sum_away(const struct place_piece *piece, bool may_stream, struct away *away)
{
    if (piece->dense && may_stream) {
        away->streamed += piece->bytes;
        away->longest = max_u64(away->longest, piece->bytes);
    } else {
        away->bytes += piece->bytes;
        away->touched += piece->touched;
    }
}

static struct sums sum(const struct place_piece *pieces, size_t n, bool may_stream)
{
    struct sums sums = {.kinds = calloc(n + 1, sizeof(*sums.kinds))};

    for (size_t i = 0; i < n && sums.kinds; i++) {
        if (pieces[i].pin == PLACE_ON_HOST)
            sum_away(&pieces[i], may_stream, &sums.away);
        if (pieces[i].pin)
            continue;
        *(pieces[i].dense ? &sums.dense : &sums.sparse) += pieces[i].bytes;
        if (pieces[i].dense)
            spread_add(sums.kinds, &sums.n_kinds, pieces[i].bytes, pieces[i].bytes);
    }
    return sums;
}

uint64_t place_least_ring(const struct place_request *request)
{
    return LEAST_CHUNKS * request->chunk;
}

uint64_t place_ring_for(uint64_t longest, uint64_t budget, uint64_t chunk)
{
    return longest ? spread_ring_for((longest + chunk - 1) / chunk, budget, chunk) : 0;
}

/* For so many dense bytes, of which so many and a ring have room. */
static uint64_t ring_bytes(const struct place_request *request, const struct sums *sums,
                           uint64_t room)
{
    uint64_t ring = place_ring_for(sums->away.longest, request->budget, request->chunk);

    if ((sums->dense <= room && !request->keeps_ring && !ring) || !request->may_stream)
        return 0;
    if (request->ring)
        return request->ring;
    return sums->dense <= room ? ring
                               : max_u64(ring, spread_ring(sums->kinds, sums->n_kinds, room,
                                                           request->budget, request->chunk));
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
    return !piece->pin && piece->dense == share->dense &&
           (share->dense || density_of(piece) == share->density);
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

        if (!pieces[i].pin && !pieces[i].dense && density < below && density > best)
            best = density;
    }
    return best;
}

static uint64_t bytes_of(const struct place_piece *pieces, size_t n, double density)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        if (!pieces[i].pin && !pieces[i].dense && density_of(&pieces[i]) == density)
            bytes += pieces[i].bytes;
    return bytes;
}

/* How the device is shared. */
struct split {
    uint64_t ring, dense, sparse;
    uint64_t held;     /* by dense bytes that are there, in whole chunks */
    uint64_t away;     /* dense bytes that have no room, */
    uint64_t streamed; /* and what they are in whole chunks */
};

static uint64_t in_units(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* At most `target` bytes of dense residents. Beside sparse pieces they are not rounded to chunks:
 * what a chunk more of one kind takes from the other would be a step back. */
static struct split split_at(const struct place_request *request, const struct sums *sums,
                             uint64_t target)
{
    uint64_t room = min_u64(min_u64(target, request->budget), sums->dense);
    uint64_t unit = sums->sparse ? 1 : request->chunk;
    struct split split = {.ring = ring_bytes(request, sums, room)};

    split.ring = min_u64(split.ring / unit * unit, request->budget);
    split.dense = split.held = min_u64(room, request->budget - split.ring);
    if (split.dense < sums->dense && request->may_stream) {
        split.away = sums->dense - split.dense;
        split.held = (split.dense + unit / NEARLY) / unit * unit;
        split.streamed = in_units(sums->dense, unit) - split.held;
        split.held = min_u64(split.held, request->budget - split.ring);
        split.dense = min_u64(sums->dense - min_u64(split.streamed, sums->dense), split.held);
    }
    split.streamed += in_units(sums->away.streamed, request->chunk);
    split.sparse = request->cache ? request->budget - split.ring - split.dense : 0;
    return split;
}

/* What a launch on a buffer wants of the ring at once: chunks that it touches and that are away.
 * Buffers begin anywhere in a chunk, and residents lie evenly between others. */
struct want {
    double mean;
    double away; /* part of its bytes that are away when that is more than the ring has */
};

static void want_of(double touched, double often, double stays, double slots, struct want *want)
{
    double resident = floor(touched * stays);
    double more = touched * stays - resident;
    double away = touched - resident;

    want->mean += often * (touched - touched * stays);
    for (int i = 0; i < 2; i++, away--) {
        double share = often * (i ? more : 1 - more);

        want->away += away > slots ? share * away / touched : 0;
    }
}

/* A ring that has room for what any launch wants, and for as much that arrives. */
static bool is_ample(const struct place_request *request, const struct sums *sums,
                     const struct spread_share *share, uint64_t ring)
{
    for (uint32_t i = 0; i < sums->n_kinds; i++) {
        uint64_t away = in_units(spread_away(share, sums->kinds[i].length), request->chunk);

        if (2 * away > ring)
            return false;
    }
    return true;
}

/* When it has not: bytes that are read in place, and the part of the computing that copies do not
 * go on beside. */
static void reckon_ring(const struct place_request *request, const struct sums *sums,
                        const struct split *split, double *out_in_place, double *out_serial)
{
    struct spread_share share = spread_share(sums->kinds, sums->n_kinds, split->away);
    double slots = (double)split->ring / (double)request->chunk;

    *out_in_place = *out_serial = 0;
    if (!split->away || is_ample(request, sums, &share, split->ring))
        return;
    for (uint32_t i = 0; i < sums->n_kinds; i++) {
        double length = (double)sums->kinds[i].length;
        double stays = fmax(0, 1 - (double)spread_away(&share, sums->kinds[i].length) / length);
        double chunks = length / (double)request->chunk;
        double bytes = (double)sums->kinds[i].bytes;
        double cut = chunks - floor(chunks);
        struct want want = {0};

        want_of(floor(chunks) + 1, 1 - cut, stays, slots, &want);
        want_of(floor(chunks) + 2, cut, stays, slots, &want);
        *out_in_place += bytes * want.away;
        if (want.mean > slots / 2)
            *out_serial += bytes / (double)sums->dense * fmin(1, 2 - slots / want.mean);
    }
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
    double copies, reads, missed, serial;

    out.host = sums->dense - split->dense;
    out.streamed = split->streamed;
    out.in_place = sums->away.touched + (request->may_stream ? 0 : out.host);
    out.host += sums->away.bytes + sums->away.streamed;
    reckon_sparse(pieces, n, &left, &out);
    reckon_ring(request, sums, split, &missed, &serial);
    out.in_place += (uint64_t)missed;
    if (sums->away.longest > split->ring)
        out.in_place += sums->away.streamed;
    copies = (double)out.streamed / request->link;
    reads = (double)out.in_place / request->in_place;
    out.held = split->held + out.device - split->dense + out.ring;
    out.seconds = fmax(copies, request->compute) + reads +
                  (NOT_HIDDEN + (1 - NOT_HIDDEN) * serial) * fmin(copies, request->compute);
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
    for (size_t i = 0; i < n; i++)
        if (pieces[i].pin == PLACE_ON_DEVICE)
            pieces[i].tier = PLACE_DEVICE;
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
    double away = fmax(0, request->compute * request->link - (double)sums->away.streamed);

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
    struct sums sums = sum(pieces, n, request->may_stream);
    bool streams = sums.dense > request->budget || sums.away.streamed;
    uint64_t least =
        streams && request->may_stream ? max_u64(place_least_ring(request), request->ring) : 0;
    struct split split;

    if (!scratch || !sums.kinds) {
        free(sums.kinds);
        free(scratch);
        return -ENOMEM;
    }
    split = choose(pieces, n, request, &sums, out);
    mark(pieces, n, request, &split, scratch, out);
    out->fits = request->budget >= least;
    out->short_by = out->fits ? 0 : least - request->budget;
    free(sums.kinds);
    free(scratch);
    return 0;
}

int place_shares(const uint64_t *bytes, uint32_t n, uint64_t streamed, uint64_t *out_resident)
{
    struct spread_kind *kinds = calloc(n + 1, sizeof(*kinds));
    struct spread_share share;
    uint32_t n_kinds = 0;

    if (!kinds)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        spread_add(kinds, &n_kinds, bytes[i], bytes[i]);
    share = spread_share(kinds, n_kinds, streamed);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t away = min_u64(min_u64(spread_away(&share, bytes[i]), bytes[i]), streamed);

        out_resident[i] = bytes[i] - away;
        streamed -= away;
    }
    free(kinds);
    return 0;
}

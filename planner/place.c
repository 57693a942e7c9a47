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
 *
 * Where every piece was allocated by itself the last chunk of each is its own, and partly nobody's.
 * Room is then counted in what pieces take, and copies in what they are: residents, which lie
 * evenly, hold the same part of both.
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
    uint64_t bytes; /* that it takes there */
    uint64_t streamed, longest;
    uint64_t touched; /* of what is not streamed */
};

/* What is summed up once. */
struct sums {
    uint64_t dense, sparse;    /* what they take */
    uint64_t copied;           /* what the dense are */
    struct spread_kind *kinds; /* of the dense */
    uint64_t *copied_of;       /* each kind */
    uint32_t n_kinds;
    struct away away;
};

static uint64_t in_units(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* What a piece takes. */
static uint64_t span_of(const struct place_piece *piece, const struct place_request *request)
{
    return request->apart ? in_units(piece->bytes, request->apart) : piece->bytes;
}

static void add_dense(struct sums *sums, uint64_t bytes, uint64_t span)
{
    uint32_t kind;

    spread_add(sums->kinds, &sums->n_kinds, span, span);
    for (kind = sums->n_kinds; sums->kinds[kind - 1].length != span; kind--)
        ;
    sums->copied_of[kind - 1] += bytes;
    sums->copied += bytes;
    sums->dense += span;
}

/* What is pinned to the host takes turns when it is dense, and else is read there. */
static void add_away(struct away *away, const struct place_piece *piece,
                     const struct place_request *request)
{
    away->bytes += span_of(piece, request);
    if (piece->dense && request->may_stream) {
        away->streamed += piece->bytes;
        away->longest = max_u64(away->longest, piece->bytes);
    } else {
        away->touched += piece->touched;
    }
}

static int sums_init(struct sums *sums, const struct place_piece *pieces, size_t n,
                     const struct place_request *request)
{
    *sums = (struct sums){.kinds = calloc(n + 1, sizeof(*sums->kinds)),
                          .copied_of = calloc(n + 1, sizeof(*sums->copied_of))};
    if (!sums->kinds || !sums->copied_of)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        uint64_t span = span_of(&pieces[i], request);

        if (pieces[i].pin == PLACE_ON_HOST)
            add_away(&sums->away, &pieces[i], request);
        if (pieces[i].pin || !span)
            continue;
        if (pieces[i].dense)
            add_dense(sums, pieces[i].bytes, span);
        else
            sums->sparse += span;
    }
    return 0;
}

static void sums_fini(struct sums *sums)
{
    free(sums->kinds);
    free(sums->copied_of);
}

/* Of so much that dense pieces take. */
static uint64_t copied_of(const struct sums *sums, uint64_t span)
{
    return sums->dense ? (uint64_t)((unsigned __int128)span * sums->copied / sums->dense) : 0;
}

uint64_t place_least_ring(const struct place_request *request)
{
    return LEAST_CHUNKS * request->chunk;
}

uint64_t place_ring_for(uint64_t longest, uint64_t budget, uint64_t chunk)
{
    return longest
               ? spread_ring_for((longest + chunk - 1) / chunk, budget, chunk, SPREAD_SOME_SLOTS)
               : 0;
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
                       const struct place_request *request, uint64_t budget,
                       struct spread_piece *scratch)
{
    uint32_t count = 0;
    uint64_t taken;

    for (size_t i = 0; i < n; i++)
        if (is_of(&pieces[i], share))
            scratch[count++] = (struct spread_piece){.bytes = span_of(&pieces[i], request)};
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

static uint64_t bytes_of(const struct place_piece *pieces, size_t n, double density,
                         const struct place_request *request)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        if (!pieces[i].pin && !pieces[i].dense && density_of(&pieces[i]) == density)
            bytes += span_of(&pieces[i], request);
    return bytes;
}

/* How the device is shared. */
struct split {
    uint64_t ring, dense, sparse;
    uint64_t held;     /* by dense bytes that are there, in whole chunks */
    uint64_t away;     /* dense bytes that have no room, */
    uint64_t streamed; /* and what they are in whole chunks */
};

/* At most `target` bytes of dense residents. Beside sparse pieces they are not rounded to chunks:
 * what a chunk more of one kind takes from the other would be a step back. */
static struct split split_at(const struct place_request *request, const struct sums *sums,
                             uint64_t target)
{
    uint64_t room = min_u64(min_u64(target, request->budget), sums->dense);
    uint64_t unit = sums->sparse && !request->apart ? 1 : request->chunk;
    struct split split = {.ring = ring_bytes(request, sums, room)};

    split.ring = min_u64(split.ring / unit * unit, request->budget);
    unit = request->apart ? request->apart : unit;
    split.dense = split.held = min_u64(room, request->budget - split.ring);
    if (split.dense < sums->dense && request->may_stream) {
        split.away = sums->dense - split.dense;
        split.held = (split.dense + unit / NEARLY) / unit * unit;
        split.streamed = in_units(sums->dense, unit) - split.held;
        split.held = min_u64(split.held, request->budget - split.ring);
        split.dense = min_u64(sums->dense - min_u64(split.streamed, sums->dense), split.held);
    }
    if (request->apart && request->may_stream)
        split.streamed = copied_of(sums, sums->dense - split.dense);
    split.streamed += in_units(sums->away.streamed, request->chunk);
    split.sparse = request->cache ? request->budget - split.ring - split.dense : 0;
    return split;
}

/* What a launch on a buffer wants of the ring at once: chunks that it touches and that are away,
 * when residents lie evenly between others. */
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

/* Buffers begin anywhere in a chunk, but where each has its own. */
static void want_of_kind(const struct place_request *request, double chunks, double stays,
                         double slots, struct want *want)
{
    double cut = chunks - floor(chunks);

    if (request->apart) {
        want_of(ceil(chunks), 1, stays, slots, want);
        return;
    }
    want_of(floor(chunks) + 1, 1 - cut, stays, slots, want);
    want_of(floor(chunks) + 2, cut, stays, slots, want);
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
        double bytes = (double)sums->copied_of[i];
        struct want want = {0};

        want_of_kind(request, length / (double)request->chunk, stays, slots, &want);
        *out_in_place += bytes * want.away;
        if (want.mean > slots / 2)
            *out_serial += bytes / (double)sums->copied * fmin(1, 2 - slots / want.mean);
    }
}

/* Sparse pieces, the densest first; *left of the device is left behind them. */
static void reckon_sparse(const struct place_piece *pieces, size_t n,
                          const struct place_request *request, uint64_t *left,
                          struct placement *out)
{
    double density = next_density(pieces, n, 2);

    for (; density >= 0; density = next_density(pieces, n, density)) {
        uint64_t bytes = bytes_of(pieces, n, density, request);
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
    out.host += sums->away.bytes;
    reckon_sparse(pieces, n, request, &left, &out);
    reckon_ring(request, sums, split, &missed, &serial);
    out.in_place += (uint64_t)missed;
    if (sums->away.longest > split->ring)
        out.in_place += sums->away.streamed;
    copies = (double)out.streamed / request->link;
    reads = (double)out.in_place / request->in_place;
    out.held = split->held + out.device - split->dense + out.ring;
    out.held -= request->apart ? out.held % request->apart : 0;
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
    spread(pieces, n, &(struct share){.dense = true}, request, split->dense, scratch);
    for (; density >= 0; density = next_density(pieces, n, density))
        left -= spread(pieces, n, &(struct share){.density = density}, request, left, scratch);
    for (size_t i = 0; i < n; i++) {
        if (!pieces[i].bytes || pieces[i].pin == PLACE_ON_DEVICE)
            pieces[i].tier = PLACE_DEVICE;
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
    struct split split;
    struct sums sums;
    uint64_t least = 0;
    int r = sums_init(&sums, pieces, n, request);

    if (r || !scratch) {
        sums_fini(&sums);
        free(scratch);
        return -ENOMEM;
    }
    if ((sums.dense > request->budget || sums.away.streamed) && request->may_stream)
        least = max_u64(place_least_ring(request), request->ring);
    split = choose(pieces, n, request, &sums, out);
    mark(pieces, n, request, &split, scratch, out);
    out->fits = request->budget >= least;
    out->short_by = out->fits ? 0 : least - request->budget;
    sums_fini(&sums);
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

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which pieces of a model lie where.
 *
 * What is written has its room already: `budget` is what is left for weights. Dense pieces are read
 * in whole in every pass; those that do not fit are streamed through a ring, and residents lie
 * evenly between them, as runtime/spread.h does it. Sparse ones (experts, embeddings) are read in
 * place by the bytes they are touched by. Idle ones go to the host first.
 *
 * More memory never makes the predicted pass slower, and the budget is never exceeded.
 *
 * Pure, but for allocating.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum place_tier {
    PLACE_DEVICE,
    PLACE_STREAM,  /* home in host memory, copied ahead of use */
    PLACE_INPLACE, /* home in host memory, read there */
};

/* Where somebody wants a piece to have its home. */
enum place_pin {
    PLACE_ANYWHERE,
    PLACE_ON_HOST,   /* dense ones are streamed from there, or read in place */
    PLACE_ON_DEVICE, /* beside the budget, of which its bytes have been taken off */
};

/* In order of execution. */
struct place_piece {
    uint64_t bytes;   /* 0: it is not paged, and stays */
    uint64_t touched; /* bytes read of it in a pass; `bytes` for dense pieces */
    bool dense;
    bool expert; /* stacked experts: may also be treated as dense */
    enum place_pin pin;
    enum place_tier tier; /* out */
    uint64_t resident;    /* out of stay_choose(): bytes that stay */
};

struct place_request {
    uint64_t budget; /* device bytes for weights and ring */
    uint64_t chunk;  /* bytes that move together */
    uint64_t apart;  /* every piece takes a multiple of it for itself; 0: they lie side by side */
    double compute;  /* seconds of a pass that reads nothing but device memory */
    double link;     /* bytes per second */
    double in_place;
    bool may_stream; /* else what is away is read in place */
    bool cache;      /* sparse pieces may be on the device, else none is */
    bool all_away;   /* no dense piece stays */
    uint64_t ring;   /* bytes; 0: as the shim chooses */
    bool keeps_ring; /* also where nothing of these streams: others do */
};

/* Without pieces that are pinned to the device. Bytes are what the shim will have where: it moves
 * chunks, and does not care for the borders of tensors, but where each was allocated by itself.
 * Pieces that are marked as resident are whole, and together never more. */
struct placement {
    bool fits;         /* the ring, and what cannot be away */
    uint64_t short_by; /* if not: bytes of device memory that are missing */
    uint64_t device;   /* bytes of residents */
    uint64_t ring;
    uint64_t held;     /* bytes of device memory that both take */
    uint64_t streamed; /* bytes copied in a pass */
    uint64_t in_place; /* bytes read in place in a pass */
    uint64_t host;     /* bytes that have their home there */
    size_t n_streamed, n_dense;
    double seconds; /* of a pass */
};

/* Chooses tiers. 0 or -ENOMEM. */
int place_pieces(struct place_piece *pieces, size_t n, const struct place_request *request,
                 struct placement *out);

/* How many bytes of each of so many dense tensors stay, when `streamed` bytes of all do not: as the
 * library has it. 0 or -ENOMEM. */
int place_shares(const uint64_t *bytes, uint32_t n, uint64_t streamed, uint64_t *out_resident);

/* The ring for pieces of up to so many bytes, all of which are away; 0 for none. */
uint64_t place_ring_for(uint64_t longest, uint64_t budget, uint64_t chunk);

/* The ring that streaming cannot do without. */
uint64_t place_least_ring(const struct place_request *request);

/* SPDX-License-Identifier: MIT */
/*
 * A piece whose range goes while the plan lives stands for nothing: its block is one that is on the
 * device, belongs to nobody, and never changes.
 */
#include "runtime/pieces.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/streaming.h"

/* What pieces stand for whose range is gone. */
static struct range gone_range = {.n_blocks = 1};
static struct block gone = {.range = &gone_range, .tier = TIER_DEVICE};

bool piece_is_clean(const struct piece *piece)
{
    return !piece->changed && !piece->beside;
}

int pieces_add(struct streaming *s, struct range *range)
{
    struct piece *grown = realloc(s->pieces, (s->n_pieces + range->n_blocks) * sizeof(*s->pieces));

    if (!grown)
        return -ENOMEM;
    s->pieces = grown;
    for (uint32_t i = 0; i < range->n_blocks; i++) {
        s->pieces[s->n_pieces++] = (struct piece){
            .block = &range->blocks[i], .bytes = block_used(&range->blocks[i]), .turn = -1};
        range->blocks[i].piece = s->n_pieces;
    }
    return 0;
}

bool piece_is_there(const struct piece *piece)
{
    return piece->block != &gone;
}

bool piece_may_stream(const struct streaming *s, const struct piece *piece)
{
    return piece_is_clean(piece) && !piece->in_place &&
           pass_find(&s->pass, piece_key(piece->block));
}

bool pieces_is_beside(const struct streaming *s, const struct block *block)
{
    const struct piece *piece = piece_of(s, block);

    return !piece || (!piece->named && !piece->changed && !piece->beside &&
                      !pass_find(&s->pass, piece_key(block)));
}

enum spread_class piece_class(const struct streaming *s, const struct piece *piece)
{
    const struct pass_place *place = pass_find(&s->pass, piece_key(piece->block));

    if (!piece_is_clean(piece) || (!place && piece->named))
        return SPREAD_WRITTEN;
    if (!place)
        return SPREAD_IDLE;
    if (piece->in_place)
        return SPREAD_SPARSE;
    if (place->at >= s->pass.phases[0].n)
        return SPREAD_SELDOM;
    return place->n_at > 1 ? SPREAD_AGAIN : SPREAD_STREAMED;
}

uint64_t pieces_on_device(const struct streaming *s)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++)
        bytes += block_tier(s->pieces[i].block) == TIER_DEVICE ? s->pieces[i].block->bytes : 0;
    return bytes;
}

uint64_t pieces_bytes(const struct streaming *s)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++)
        bytes += s->pieces[i].block->bytes;
    return bytes;
}

struct range *pieces_range(const struct streaming *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->n_pieces; i += s->pieces[i].block->range->n_blocks) {
        if (s->pieces[i].block->range->id == id)
            return s->pieces[i].block->range;
    }
    return NULL;
}

struct piece **pieces_in_pass(const struct streaming *s)
{
    struct piece **visitors = calloc(s->pass.n, sizeof(struct piece *));

    for (uint32_t i = 0; visitors && i < s->n_pieces; i++) {
        const struct pass_place *place = pass_find(&s->pass, piece_key(s->pieces[i].block));

        for (uint32_t n = 0, at = place ? place->at : 0; place && n < place->n_at; n++) {
            visitors[at] = &s->pieces[i];
            at = s->pass.again[at];
        }
    }
    return visitors;
}

/* Asks the device for the spans that are in memory; of the others the digest is known. */
static int digest_memory(struct streaming *s, const struct driver *drv, struct digest_span *spans,
                         size_t n)
{
    struct digest_span *asked = calloc(n + 1, sizeof(*asked));
    size_t m = 0;
    int r;

    if (!asked)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (spans[i].at)
            asked[m++] = spans[i];
    }
    r = digest_spans(&s->digester, drv, s->transfer->stream, asked, m);
    for (size_t i = n; i-- > 0 && !r;) {
        if (spans[i].at)
            spans[i].digest = asked[--m].digest;
    }
    free(asked);
    return r;
}

static struct digest_span span_of(const struct piece *piece)
{
    const struct block *block = piece->block;

    if (block_tier(block) == TIER_DISK)
        return (struct digest_span){.digest = block->page ? block->digest : 0};
    return (struct digest_span){.at = block_address(block), .bytes = piece->bytes};
}

/* Digests of all pieces, or of those that nobody is known to write. */
static int digest(struct streaming *s, const struct driver *drv, bool clean_only,
                  struct digest_span *spans)
{
    size_t n = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (clean_only && !piece_is_clean(&s->pieces[i]))
            continue;
        spans[n++] = span_of(&s->pieces[i]);
    }
    return digest_memory(s, drv, spans, n);
}

int pieces_compare(struct streaming *s, const struct driver *drv, bool clean_only,
                   uint32_t *out_changed)
{
    struct digest_span *spans = calloc(s->n_pieces + 1, sizeof(*spans));
    uint32_t changed = 0;
    size_t n = 0;
    int r;

    if (!spans)
        return -ENOMEM;
    r = digest(s, drv, clean_only, spans);
    for (uint32_t i = 0; i < s->n_pieces && !r; i++) {
        struct piece *piece = &s->pieces[i];

        if (clean_only && !piece_is_clean(piece))
            continue;
        if (piece->block == &gone)
            spans[n].digest = piece->digest;
        piece->changed = !piece->undigested && piece->digest != spans[n].digest;
        changed += piece->changed;
        piece->digest = spans[n++].digest;
        piece->undigested = false;
    }
    free(spans);
    *out_changed = changed;
    return r;
}

/* Returns whether it was another one. */
static bool renew_digest(struct piece *piece, uint64_t digest)
{
    bool changed = piece->digest && piece->digest != digest;

    piece->block->rewrites += changed;
    piece->digest = digest;
    return changed;
}

int pieces_digest_range(struct streaming *s, const struct driver *drv, const struct range *range,
                        bool *out_changed)
{
    struct digest_span *spans = calloc(range->n_blocks, sizeof(*spans));
    int r;

    if (!spans)
        return -ENOMEM;
    for (uint32_t i = 0; i < range->n_blocks; i++)
        spans[i] = span_of(piece_of(s, &range->blocks[i]));
    r = digest_memory(s, drv, spans, range->n_blocks);
    *out_changed = false;
    for (uint32_t i = 0; i < range->n_blocks && !r; i++)
        *out_changed |= renew_digest(piece_of(s, &range->blocks[i]), spans[i].digest);
    free(spans);
    return r;
}

bool pieces_undigested(const struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (s->pieces[i].undigested && piece_is_clean(&s->pieces[i]))
            return true;
    }
    return false;
}

bool pieces_turns_changed(const struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (s->pieces[i].changed && s->pieces[i].turn >= 0)
            return true;
    }
    return false;
}

void pieces_recall_rewrites(struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];

        if (piece->block->rewrites >= PIECES_REWRITES && !piece->changed)
            piece->changed = piece->explained = true;
    }
}

void pieces_forget(struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct block *block = s->pieces[i].block;

        atomic_store_explicit(&block->takes_turns, false, memory_order_relaxed);
        block->piece = 0;
    }
    s->n_pieces = 0;
    s->ring.n_turns = 0;
}

void pieces_forget_range(struct streaming *s, const struct range *range)
{
    if (!s->ring.waits) {
        pieces_forget(s);
        return;
    }
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];

        if (piece->block->range != range)
            continue;
        atomic_store_explicit(&piece->block->takes_turns, false, memory_order_relaxed);
        piece->block->piece = 0;
        *piece = (struct piece){.block = &gone, .turn = -1};
    }
}

bool pieces_detach(struct streaming *s, const struct range *range)
{
    bool others = false;

    for (uint32_t i = 0; i < s->n_pieces; i++) {
        const struct piece *piece = &s->pieces[i];

        if (piece->block->range == range && piece->turn >= 0)
            return false;
        others |= piece->block->range != range && piece_is_there(piece);
    }
    if (!others)
        return false;
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];

        if (piece->block->range != range)
            continue;
        piece->block->piece = 0;
        *piece = (struct piece){.block = &gone, .turn = -1};
    }
    return true;
}

bool pieces_name(const struct streaming *s, const struct range *range)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (s->pieces[i].block->range == range)
            return true;
    }
    return false;
}

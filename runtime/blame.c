/* SPDX-License-Identifier: MIT */
#include "runtime/blame.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/log.h"
#include "runtime/prepare.h"

enum {
    UNEXPLAINED_MAX = 256, /* pieces that are looked at between launches */
};

/* A parameter of a function, over all launches. */
struct parameter {
    uint64_t function;
    uint64_t word;
    bool reads; /* it was given something that did not change */
    UT_hash_handle hh;
};

static struct piece *named_piece(const struct streaming *s, const struct range *range, uint32_t i)
{
    return range && i < range->n_blocks ? piece_of(s, &range->blocks[i]) : NULL;
}

static struct parameter *parameter_of(struct parameter **all, const struct trust_use *use)
{
    uint64_t key[2] = {use->function, use->word};
    struct parameter *found;

    HASH_FIND(hh, *all, key, sizeof(key), found);
    if (found)
        return found;
    found = calloc(1, sizeof(*found));
    if (!found)
        return NULL;
    found->function = key[0];
    found->word = key[1];
    HASH_ADD(hh, *all, function, sizeof(key), found);
    if (!found->hh.tbl) {
        free(found);
        return NULL;
    }
    return found;
}

static int find_readers(const struct streaming *s, struct parameter **all)
{
    for (const struct trusted_use *u = s->trust.uses; u; u = u->hh.next) {
        const struct piece *piece = named_piece(s, pieces_range(s, u->use.range), u->use.first);
        struct parameter *parameter = parameter_of(all, &u->use);

        if (!parameter)
            return -ENOMEM;
        parameter->reads |= piece && !piece->changed;
    }
    return 0;
}

/* What stands in one buffer with something that changed is taken to be written, sooner or later. */
static void go_through_uses(struct streaming *s, struct parameter **all)
{
    for (const struct trusted_use *u = s->trust.uses; u; u = u->hh.next) {
        const struct parameter *parameter = parameter_of(all, &u->use);
        const struct range *range = pieces_range(s, u->use.range);
        bool changed = false;

        for (uint32_t i = u->use.first; i <= u->use.last; i++) {
            struct piece *piece = named_piece(s, range, i);

            changed |= piece && piece->changed;
            if (piece)
                piece->named = true;
            if (piece && parameter && !parameter->reads)
                piece->explained = true;
        }
        for (uint32_t i = u->use.first; i <= u->use.last && changed; i++) {
            struct piece *piece = named_piece(s, range, i);

            if (piece)
                piece->beside = true;
        }
    }
}

static void parameters_free(struct parameter *all)
{
    struct parameter *parameter;
    struct parameter *next;

    HASH_ITER(hh, all, parameter, next)
    {
        HASH_DEL(all, parameter);
        free(parameter);
    }
}

int blame_changes(struct streaming *s)
{
    struct parameter *all = NULL;
    uint32_t unexplained = 0;
    int r = find_readers(s, &all);

    if (!r)
        go_through_uses(s, &all);
    parameters_free(all);
    for (uint32_t i = 0; i < s->n_pieces && !r; i++)
        unexplained += s->pieces[i].changed && !s->pieces[i].explained;
    return r ? r : (int)unexplained;
}

/* What is on the disk nobody writes. */
static bool is_unexplained(const struct piece *piece)
{
    return piece->changed && !piece->explained && block_tier(piece->block) != TIER_DISK;
}

static bool changed_since(struct streaming *s, const struct digest_span *spans)
{
    bool any = false;
    size_t n = 0;

    for (uint32_t i = 0; i < s->n_pieces && n < UNEXPLAINED_MAX; i++) {
        struct piece *piece = &s->pieces[i];

        if (!is_unexplained(piece))
            continue;
        any |= piece->digest != spans[n].digest;
        piece->digest = spans[n++].digest;
    }
    return any;
}

static size_t unexplained_spans(const struct streaming *s, struct digest_span *out)
{
    size_t n = 0;

    for (uint32_t i = 0; i < s->n_pieces && n < UNEXPLAINED_MAX; i++) {
        const struct piece *piece = &s->pieces[i];

        if (is_unexplained(piece))
            out[n++] =
                (struct digest_span){.at = block_address(piece->block), .bytes = piece->bytes};
    }
    return n;
}

int blame_launch(struct pager *pager, const struct driver *drv, const struct launch *launch)
{
    struct streaming *s = pager->streaming;
    struct digest_span spans[UNEXPLAINED_MAX];
    size_t n = unexplained_spans(s, spans);
    struct transfer *transfer;
    int r;

    if (!card_enter(pager, drv, &transfer))
        return -EAGAIN;
    r = digest_spans(&s->digester, drv, s->transfer->stream, spans, n);
    card_leave(drv);
    if (r)
        return r;
    if (changed_since(s, spans) && s->launched) {
        log_debug("function %p writes what it is not given a pointer to", (void *)s->launched);
        trust_bar(&s->trust, s->launched);
        s->blamed = true;
    }
    s->launched = launch->function;
    return 0;
}

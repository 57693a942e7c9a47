/* SPDX-License-Identifier: MIT */
/*
 * The driver puts small allocations into pages that they share, each where it first fits. That they
 * come in the order of the pass matters little: most are of few sizes.
 */
#include "planner/allocation.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/cut.h"
#include "runtime/util.h"

enum {
    GRANULARITY = 2 << 20, /* of physical memory, and of pages, on every card so far */
    SHARING = 1 << 20,     /* what is larger shares no page */
    ALIGNMENT = 512,
    LOOK_BACK = 64, /* pages: there may be very many tensors */
};

uint64_t strategy_chunk(const struct strategy_case *c)
{
    return cut_chunk(c->chunk, c->machine.device, GRANULARITY);
}

/* Of a size no tensors are known. */
static bool is_apart(const struct strategy_case *c)
{
    return c->apart && c->subject->tensors;
}

bool allocation_is_small(const struct strategy_case *c, const struct place_piece *piece)
{
    return is_apart(c) && piece->bytes < cut_small(c->small, c->machine.device);
}

uint64_t allocation_unit(const struct strategy_case *c)
{
    return is_apart(c) ? GRANULARITY : 0;
}

uint64_t allocation_paged(const struct strategy_case *c)
{
    const struct subject *s = c->subject;
    uint64_t bytes = 0;

    if (!is_apart(c))
        return s->bytes;
    for (size_t i = 0; i < s->n_pieces; i++)
        if (!allocation_is_small(c, &s->pieces[i]))
            bytes += align_up(s->pieces[i].bytes, GRANULARITY);
    return bytes;
}

uint64_t allocation_written(const struct strategy_case *c, size_t phase)
{
    uint64_t written = subject_written(c->subject, phase, NULL);

    return written < cut_small(c->small, c->machine.device) ? 0 : written;
}

/* Returns the bytes of new pages, of which so many are there already. */
static uint64_t take(uint64_t bytes, uint64_t *free, size_t *n_pages)
{
    uint64_t wanted = align_up(bytes, ALIGNMENT);
    size_t page = *n_pages > LOOK_BACK ? *n_pages - LOOK_BACK : 0;

    if (wanted > SHARING)
        return align_up(wanted, GRANULARITY);
    while (page < *n_pages && free[page] < wanted)
        page++;
    if (page < *n_pages) {
        free[page] -= wanted;
        return 0;
    }
    free[(*n_pages)++] = GRANULARITY - wanted;
    return GRANULARITY;
}

int allocation_small(const struct strategy_case *c, uint64_t *out)
{
    const struct subject *s = c->subject;
    uint64_t *free_bytes;
    uint64_t bytes = 0;
    size_t n_pages = 0;

    *out = 0;
    if (!is_apart(c))
        return 0;
    free_bytes = calloc(s->n_pieces + 1, sizeof(*free_bytes));
    if (!free_bytes)
        return -ENOMEM;
    for (size_t i = 0; i < s->n_pieces; i++)
        if (allocation_is_small(c, &s->pieces[i]))
            bytes += take(s->pieces[i].bytes, free_bytes, &n_pages);
    free(free_bytes);
    *out = bytes;
    return 0;
}

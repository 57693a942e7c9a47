/* SPDX-License-Identifier: MIT */
/*
 * The average forgets slowly: of routers that were looked at, half of the experts of a token are
 * those of the token before, and the rest are drawn from a popularity that does not change; in a
 * trace of that kind a quick average swaps what the next token would have brought back. In its
 * first passes it is the plain mean.
 */
#include "runtime/heat.h"

#include <stdlib.h>
#include "runtime/util.h"

enum {
    MEMORY = 50,  /* passes that the average goes back, more or less */
    PAYBACK = 16, /* passes in which a swap has to save what it costs */
};

double heat_after(double heat, uint32_t passes, double bytes)
{
    double share = 1.0 / (double)(min_u64(passes, MEMORY - 1) + 1);

    return heat + (bytes - heat) * share;
}

/* Coldest first. */
static int by_heat(const void *left, const void *right)
{
    const struct heat_piece *a = *(struct heat_piece *const *)left;
    const struct heat_piece *b = *(struct heat_piece *const *)right;

    if (a->heat != b->heat)
        return a->heat < b->heat ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* The pieces of one kind, coldest first. */
static uint32_t sorted(struct heat_piece *pieces, uint32_t n, bool resident,
                       struct heat_piece **out)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (pieces[i].resident == resident)
            out[found++] = &pieces[i];
    }
    qsort(out, found, sizeof(struct heat_piece *), by_heat);
    return found;
}

static bool pays(const struct heat_piece *in, double lost)
{
    return (in->heat - lost) * PAYBACK > (double)in->bytes;
}

uint32_t heat_swap(struct heat_piece *pieces, uint32_t n, uint64_t room, uint32_t most)
{
    struct heat_piece **all = calloc(2 * (size_t)n + 1, sizeof(struct heat_piece *));
    struct heat_piece **away = all + n;
    uint32_t n_away;
    uint32_t n_near;
    uint32_t near = 0;
    uint32_t come = 0;

    if (!all)
        return 0;
    n_near = sorted(pieces, n, true, all);
    n_away = sorted(pieces, n, false, away);
    while (n_away-- > 0 && come < most) {
        struct heat_piece *in = away[n_away];

        if (in->bytes <= room && pays(in, 0)) {
            room -= in->bytes;
        } else if (near < n_near && all[near]->bytes + room >= in->bytes &&
                   pays(in, all[near]->heat)) {
            room = all[near]->bytes + room - in->bytes;
            all[near++]->resident = false;
        } else {
            continue;
        }
        in->resident = true;
        come++;
    }
    free(all);
    return come;
}

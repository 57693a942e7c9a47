/* SPDX-License-Identifier: MIT */
/*
 * Of dense pieces that do not all stay, each keeps the same share: the library moves chunks, which
 * tensors' borders do not stop, and residents that lie evenly in a pass leave every copy its time.
 */
#include "planner/stay.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/util.h"

/* Dense pieces share what is left for them; sparse ones that stay, and what somebody has pinned, do
 * so whole. */
static bool shares(const struct strategy_case *c, const struct place_piece *piece)
{
    bool is_whole =
        piece->tier == PLACE_DEVICE && !piece->dense && piece->bytes > 2 * strategy_chunk(c);

    return piece->bytes && !piece->pin && !is_whole && piece->tier != PLACE_INPLACE;
}

/* `streamed` bytes of the phase do not stay. */
static int share_phase(const struct strategy_case *c, const struct subject_phase *phase,
                       uint64_t streamed)
{
    struct place_piece *pieces = &c->subject->pieces[phase->first];
    uint64_t *bytes = calloc(2 * phase->n + 1, sizeof(*bytes));
    uint64_t *resident = bytes + phase->n;
    uint32_t n = 0;
    int r = bytes ? 0 : -ENOMEM;

    for (size_t i = 0; !r && i < phase->n; i++)
        if (shares(c, &pieces[i]))
            bytes[n++] = pieces[i].bytes;
    if (!r && streamed)
        r = place_shares(bytes, n, streamed, resident);
    n = 0;
    for (size_t i = 0; !r && streamed && i < phase->n; i++) {
        if (!shares(c, &pieces[i]))
            continue;
        pieces[i].resident = resident[n++];
        pieces[i].tier = pieces[i].resident == pieces[i].bytes ? PLACE_DEVICE : PLACE_STREAM;
    }
    free(bytes);
    return r;
}

/* Bytes of the phase that are marked as not staying: of those that are pinned, or of the others. */
static uint64_t streamed_bytes(const struct subject *s, const struct subject_phase *phase,
                               bool pinned)
{
    uint64_t bytes = 0;

    for (size_t i = phase->first; i < phase->first + phase->n; i++)
        if (s->pieces[i].tier == PLACE_STREAM && (s->pieces[i].pin != PLACE_ANYWHERE) == pinned)
            bytes += s->pieces[i].bytes;
    return bytes;
}

/* What of the main phase is pinned to host memory, in whole chunks, as it was counted. */
static uint64_t pinned_away(const struct strategy_case *c, const struct subject_phase *phase)
{
    return align_up(streamed_bytes(c->subject, phase, true), strategy_chunk(c));
}

static void limit_phase(struct place_piece *pieces, const struct subject_phase *phase,
                        uint64_t *left)
{
    for (size_t i = phase->first; i < phase->first + phase->n; i++) {
        struct place_piece *piece = &pieces[i];

        if (piece->pin)
            continue;
        piece->resident = min_u64(piece->resident, *left);
        *left -= piece->resident;
        if (piece->tier == PLACE_DEVICE && piece->resident < piece->bytes)
            piece->tier = PLACE_STREAM;
    }
}

/* Phases follow each other, so their residents may be more together than the device holds: what is
 * pinned counts first, then those of the main one. */
static void limit_phases(struct subject *s, uint64_t device)
{
    uint64_t left = less_u64(device, subject_pinned(s, PLACE_ON_DEVICE));

    limit_phase(s->pieces, &s->phases[s->main_phase], &left);
    for (size_t i = 0; i < s->n_phases; i++)
        if (i != s->main_phase)
            limit_phase(s->pieces, &s->phases[i], &left);
}

int stay_choose(struct strategy_case *c, const char *strategy)
{
    struct subject *s = c->subject;
    struct placement placement;
    int r = strategy_place(c, strategy, &placement);

    for (size_t i = 0; !r && i < s->n_pieces; i++)
        s->pieces[i].resident = s->pieces[i].tier == PLACE_DEVICE ? s->pieces[i].bytes : 0;
    for (size_t i = 0; !r && i < s->n_phases; i++) {
        const struct subject_phase *phase = &s->phases[i];
        uint64_t streamed = streamed_bytes(s, phase, false);

        if (i == s->main_phase)
            streamed = less_u64(placement.streamed, pinned_away(c, phase));
        r = share_phase(c, phase, streamed);
    }
    if (!r)
        limit_phases(s, c->machine.device);
    return r;
}

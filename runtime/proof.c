/* SPDX-License-Identifier: MIT */
/*
 * Time is counted in launches. Of each piece two moments are kept: its first copy, and the last
 * copy that the guard has looked at. Of each function two launches: the last one of the first pass
 * and the first one after that, or two of a later pass. A function that is launched once in each
 * pass leaves the pieces before it in the pass alone if its first launch did, and those behind it
 * if its second did.
 *
 * A piece that nobody reads through the ring cannot be known of. After two passes it is not copied
 * there any more: what is read at home need not be trusted.
 */
#include "runtime/proof.h"

#include "runtime/repute.h"
#include "runtime/util.h"

enum {
    LOOKS = 16, /* at what can be trusted in a pass, at first: each costs a drain */
};

void proof_copied(const struct streaming *s, struct piece *piece)
{
    piece->copied = s->clock;
    if (!piece->first_copied)
        piece->first_copied = s->clock;
}

void proof_checked(struct piece *piece)
{
    piece->checked = piece->copied;
}

/* By the plan, which is asked once. */
static bool is_known(struct streaming *s, struct trusted_function *function)
{
    if (function->asked || function->barred)
        return false;
    function->asked = true;
    if (!repute_find((CUfunction)(uintptr_t)function->function))
        return false;
    trust_know(&s->trust, function);
    return true;
}

bool proof_launch(struct streaming *s, CUfunction function)
{
    struct trusted_function *found;

    if (trust_function(&s->trust, function))
        return true;
    found = trust_find_function(&s->trust, function);
    if (found && is_known(s, found))
        return true;
    if (!found)
        return false;
    if (!s->rounds) {
        found->early = s->clock;
    } else if (!found->late) {
        found->late = s->clock;
        found->late_moves = s->pass.moves;
    }
    return false;
}

static bool is_between(const struct piece *piece, uint64_t launch)
{
    return launch && piece->first_copied <= launch && launch < piece->checked;
}

static bool is_proven(void *context, const struct trusted_function *function)
{
    const struct streaming *s = context;

    for (uint32_t i = 0; i < s->n_pieces; i++) {
        const struct piece *piece = &s->pieces[i];

        if (piece->turn >= 0 && !piece->idle && !is_between(piece, function->early) &&
            !is_between(piece, function->late))
            return false;
    }
    return true;
}

/* What has not been read through the ring so far. */
static void leave_idle(struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++)
        s->pieces[i].idle |= s->pieces[i].turn >= 0 && !s->pieces[i].checked;
    for (uint32_t i = 0; i < s->ring.n_turns; i++)
        s->ring.turns[i].idle = s->pieces[s->ring.turns[i].piece].idle;
}

/* Of functions whose launches did not say enough in a pass, later ones are to speak. */
static void ask_anew(struct streaming *s)
{
    for (struct trusted_function *f = s->trust.functions; f; f = f->hh.next) {
        if (f->earned || !f->late || s->pass.moves - f->late_moves <= s->pass.n)
            continue;
        f->early = f->late;
        f->late = 0;
    }
}

void proof_begin(struct streaming *s)
{
    s->clock = 0;
    s->proof_at = s->pass.moves + 2 * (uint64_t)s->pass.n + 1;
    s->proof_after = s->pass.n / LOOKS + 1;
}

void proof_look(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct transfer *transfer;

    if (!s->by_plan || !s->trust.waiting || s->pass.moves < s->proof_at ||
        !card_enter(pager, drv, &transfer))
        return;
    card_leave(drv);
    s->proof_at = s->pass.moves + s->proof_after;
    s->proof_after = min_u64(2 * s->proof_after, s->pass.n);
    if (guard_noticed(&s->guard))
        return;
    leave_idle(s);
    trust_earn_if(&s->trust, is_proven, s);
    ask_anew(s);
}

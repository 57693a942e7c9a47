/* SPDX-License-Identifier: MIT */
/*
 * Noted are addresses, not extents: where a buffer ends that is named for the first time is not
 * known before the next one has been named.
 *
 * Memory that came after the plan may be used from now on in every lap, and then belongs into the
 * pass; or only once, as what is allocated anew for every token. So it is noted only when it is
 * named again after a lap in which it was not. What was there before the plan and was not in the
 * pass is noted at once.
 *
 * Every phase costs a safe point, digests of all that is away, and new windows; PASS_PHASES bounds
 * how many there are in the life of a plan.
 */
#include "runtime/side.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/log.h"
#include "runtime/prepare.h"
#include "runtime/weigh.h"

enum {
    TOUCHES_MAX = 1 << 16,
};

void side_begin(struct streaming *s)
{
    s->side.refused = s->by_plan;
    s->side.newest = residency.next_id;
}

static void forget(struct side *side)
{
    free(side->touches);
    side->touches = NULL;
    side->n = side->capacity = 0;
    side->launch = 0;
    side->n_ranges = 0;
    side->on = false;
}

void side_end(struct streaming *s)
{
    s->side.laps += s->pass.laps + 1;
    forget(&s->side);
}

static const struct block *block_of(const struct extent *extent)
{
    return &extent->range->blocks[extent_first(extent)];
}

static bool is_in_pass(const struct streaming *s, const struct extent *extent)
{
    return pass_find(&s->pass, piece_key(block_of(extent))) != NULL;
}

/* Neither in the pass nor in use all the time, and it may be read over the link. */
static bool is_beside(const struct streaming *s, const struct extent *extent)
{
    return (piece_of(s, block_of(extent)) || range_is_away(extent->range)) &&
           pieces_is_beside(s, block_of(extent));
}

/* Whether the range is back after laps without it. */
static bool is_back(struct streaming *s, struct range *range)
{
    uint64_t now = s->side.laps + s->pass.laps + 1;

    if (range->blocks[0].piece || range->id <= s->side.newest)
        return true;
    if (!range->aside)
        range->aside = now;
    return range->aside + 1 < now;
}

static bool names_pass(const struct pager *pager, const struct extents *extents)
{
    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];

        if (extent->range->pager == pager && is_in_pass(pager->streaming, extent))
            return true;
    }
    return false;
}

static bool begins_here(const struct pager *pager, const struct extents *extents)
{
    struct streaming *s = pager->streaming;

    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];

        if (extent->range->pager == pager && range_is_away(extent->range) && is_beside(s, extent) &&
            is_back(s, extent->range))
            return true;
    }
    return false;
}

static bool has_room(struct side *side)
{
    uint32_t capacity = side->capacity ? 2 * side->capacity : 256;
    struct side_touch *grown;

    if (side->n < side->capacity)
        return true;
    grown = capacity <= TOUCHES_MAX ? realloc(side->touches, capacity * sizeof(*grown)) : NULL;
    if (!grown)
        return false;
    side->touches = grown;
    side->capacity = capacity;
    return true;
}

/* The first launch that names a range: what is in it is looked at. */
static int admit(struct pager *pager, const struct driver *drv, struct range *range)
{
    struct side *side = &pager->streaming->side;

    for (uint32_t i = side->n_ranges; i-- > 0;) {
        if (side->ranges[i] == range->id)
            return 0;
    }
    if (side->n_ranges == SIDE_RANGES)
        return -E2BIG;
    side->ranges[side->n_ranges++] = range->id;
    return prepare_admit(pager, drv, range);
}

/* 0, or -errno when this cannot be noted. */
static int note(struct pager *pager, const struct driver *drv, const struct launch *launch,
                const struct extents *extents)
{
    struct streaming *s = pager->streaming;
    struct side *side = &s->side;
    int r = extents->more ? -E2BIG : 0;

    side->launch++;
    if (launch->layout->excused)
        (void)trust_function(&s->trust, launch->function);
    for (size_t i = 0; i < extents->n && !r; i++) {
        const struct extent *extent = &extents->list[i];

        if (extent->range->pager != pager || !is_beside(s, extent))
            continue;
        r = admit(pager, drv, extent->range);
        if (!r && !has_room(side))
            r = -ENOMEM;
        if (!r)
            side->touches[side->n++] =
                (struct side_touch){extent->range,    extent->range->id,    extent->address,
                                    launch->function, extent->word->offset, side->launch};
    }
    return r;
}

/* What was noted, as visits and as uses. */
static void go_through(struct streaming *s, struct pass_learner *learner)
{
    uint32_t launch = 0;

    pass_learner_init(learner);
    for (uint32_t i = 0; i < s->side.n; i++) {
        const struct side_touch *touch = &s->side.touches[i];
        struct extent extent = {.address = touch->address, .range = touch->range};
        struct trust_use use;

        if (touch->range->id != touch->id || touch->range->state != RANGE_LIVE)
            continue;
        if (touch->launch != launch)
            pass_learner_step(learner);
        launch = touch->launch;
        extent.bytes = range_named_extent(touch->range, touch->address);
        use = (struct trust_use){
            .function = (uintptr_t)touch->function,
            .range = touch->id,
            .word = touch->word,
            .first = extent_first(&extent),
            .last = extent_last(&extent),
        };
        (void)trust_use(&s->trust, &use);
        /* The first are needed as long as the last. */
        for (int twice = 0; twice < 2; twice++) {
            for (uint32_t k = use.first; k <= use.last; k++)
                pass_learner_touch(learner, piece_key(&touch->range->blocks[k]));
        }
    }
}

/* The pass goes on. */
static int finish(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct pass_learner learner;
    int r;

    go_through(s, &learner);
    weigh_look_again(s);
    forget(&s->side);
    r = prepare_extend(pager, drv, &learner);
    pass_learner_fini(&learner);
    return r;
}

static void refuse(struct pager *pager)
{
    struct streaming *s = pager->streaming;

    forget(&s->side);
    s->side.refused = true;
    prepare_unwatch(pager);
}

int side_launch(struct pager *pager, const struct driver *drv, const struct launch *launch,
                const struct extents *extents)
{
    struct streaming *s = pager->streaming;

    if (s->side.refused)
        return 0;
    if (names_pass(pager, extents))
        return s->side.on ? finish(pager, drv) : 0;
    if (!s->side.on && !begins_here(pager, extents))
        return 0;
    if (!s->side.on && s->pass.n_phases == PASS_PHASES) {
        s->side.refused = true;
        return 0;
    }
    if (!s->side.on)
        prepare_watch(pager);
    s->side.on = true;
    if (note(pager, drv, launch, extents))
        refuse(pager);
    return 0;
}

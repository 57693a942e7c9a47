/* SPDX-License-Identifier: MIT */
/*
 * In a sequence that repeats, every visit comes one period after the visit of the same piece
 * before. So the learner looks at that distance alone: visits that agree with the guess speak for
 * it, others against it, twice as strongly, and when it has no support left the newest distance
 * becomes the guess. A piece that was never seen speaks against it, too: else the layers that share
 * a chunk of a cache would be taken for a pass before its first reading is over. Pieces that are
 * visited twice in a pass disagree without doing harm, and the same goes for an allocation that
 * moves or a launch that is left out now and then.
 */
#include "runtime/pass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/util.h"

enum {
    TRACE_MAX = 1 << 18,  /* visits kept; longer passes are not learned */
    SURE = 64,            /* visits that are enough to be sure of the longest period */
    DESPAIR_ROUNDS = 4,   /* visits per piece */
    DESPAIR_LEAST = 256,  /* visits */
    TOLERANCE_SHARE = 32, /* of a period, by which a distance may miss it */
    AHEAD_SHARE = 8,      /* of a pass, that may be left out in one go */
    AHEAD_LEAST = 4,
};

void pass_learner_init(struct pass_learner *learner)
{
    *learner = (struct pass_learner){.n = 0};
}

void pass_learner_fini(struct pass_learner *learner)
{
    struct pass_seen *seen;
    struct pass_seen *next;

    HASH_ITER(hh, learner->seen, seen, next)
    {
        HASH_DEL(learner->seen, seen);
        free(seen);
    }
    free(learner->trace);
    pass_learner_init(learner);
}

/* Visits in a row that are enough to believe the guess; more count for no more. */
static uint64_t enough(const struct pass_learner *learner)
{
    return max_u64(PASS_LEAST, min_u64(learner->period / 4, SURE));
}

/* A distance that is near moves the guess by one visit at most: it may be that of a piece which is
 * visited twice, and those that agreed before would then be far from it. */
static void judge(struct pass_learner *learner, uint64_t distance)
{
    if (learner->period &&
        apart_u64(distance, learner->period) <= 1 + learner->period / TOLERANCE_SHARE) {
        learner->period += (distance > learner->period) - (distance < learner->period);
        learner->agreed = min_u64(learner->agreed + 1, enough(learner));
        return;
    }
    if (learner->agreed > 2) {
        learner->agreed -= 2;
        return;
    }
    learner->period = distance;
    learner->agreed = 1;
}

/* What is new was not there a period ago. */
static void doubt(struct pass_learner *learner)
{
    if (learner->agreed > 0)
        learner->agreed--;
}

static bool trace_has_room(struct pass_learner *learner)
{
    uint64_t held = learner->n - learner->first;
    uint64_t capacity = learner->capacity ? 2 * learner->capacity : 1024;
    struct pass_visit *grown;

    if (held < learner->capacity)
        return true;
    if (capacity > TRACE_MAX) {
        /* The older half is forgotten. */
        memmove(learner->trace, learner->trace + held / 2,
                (held - held / 2) * sizeof(*learner->trace));
        learner->first += held / 2;
        return true;
    }
    grown = realloc(learner->trace, capacity * sizeof(*grown));
    if (!grown)
        return false;
    learner->trace = grown;
    learner->capacity = capacity;
    return true;
}

static bool goes_on(const struct pass_learner *learner, const struct pass_seen *seen)
{
    return learner->n - 1 - seen->touch_at <= PASS_GAP_VISITS ||
           learner->step - seen->touch_step <= PASS_GAP_STEPS;
}

/* False when memory is short. */
static bool visit(struct pass_learner *learner, struct pass_seen *seen, bool again)
{
    if (!trace_has_room(learner))
        return false;
    if (again)
        judge(learner, learner->n - seen->visit);
    else
        doubt(learner);
    learner->trace[learner->n - learner->first] = (struct pass_visit){.key = seen->key};
    seen->visit = learner->n++;
    return true;
}

/* NULL when memory is short. */
static struct pass_seen *first_visit(struct pass_learner *learner, uint64_t key)
{
    struct pass_seen *seen = calloc(1, sizeof(*seen));

    if (!seen)
        return NULL;
    seen->key = key;
    HASH_ADD(hh, learner->seen, key, sizeof(seen->key), seen);
    if (seen->hh.tbl && visit(learner, seen, false))
        return seen;
    if (seen->hh.tbl)
        HASH_DEL(learner->seen, seen);
    free(seen);
    return NULL;
}

void pass_learner_touch(struct pass_learner *learner, uint64_t key)
{
    struct pass_seen *seen;

    HASH_FIND(hh, learner->seen, &key, sizeof(key), seen);
    if (seen && goes_on(learner, seen)) {
        if (seen->visit >= learner->first)
            learner->trace[seen->visit - learner->first].until =
                (uint32_t)(learner->n - 1 - seen->visit);
    } else if (seen) {
        (void)visit(learner, seen, true);
    } else {
        seen = first_visit(learner, key);
        if (!seen)
            return;
    }
    seen->touch_at = learner->n - 1;
    seen->touch_step = learner->step;
}

bool pass_learner_knows(const struct pass_learner *learner)
{
    return learner->period >= PASS_LEAST && learner->agreed >= enough(learner) &&
           learner->period <= learner->n - learner->first;
}

bool pass_learner_despairs(const struct pass_learner *learner)
{
    uint64_t pieces = HASH_COUNT(learner->seen);

    /* Memory that is new in every step would never be visited often enough. */
    return pieces > TRACE_MAX || learner->n > max_u64(DESPAIR_LEAST, DESPAIR_ROUNDS * pieces);
}

static int add_place(struct pass *pass, uint32_t at)
{
    uint64_t key = pass->visits[at].key;
    struct pass_place *place;

    pass->again[at] = at;
    HASH_FIND(hh, pass->places, &key, sizeof(key), place);
    if (place) {
        uint32_t last = place->at;

        while (pass->again[last] != last)
            last = pass->again[last];
        pass->again[last] = at;
        place->n_at++;
        return 0;
    }
    place = calloc(1, sizeof(*place));
    if (!place)
        return -ENOMEM;
    *place = (struct pass_place){.key = key, .at = at, .n_at = 1};
    HASH_ADD(hh, pass->places, key, sizeof(place->key), place);
    if (!place->hh.tbl) {
        free(place);
        return -ENOMEM;
    }
    return 0;
}

int pass_init(struct pass *pass, const struct pass_learner *learner, uint32_t n)
{
    if (!n)
        return -ENODATA;
    *pass = (struct pass){.n = n, .at = n - 1, .n_phases = 1, .phases = {{.n = n}}};
    pass->visits = calloc(n, sizeof(*pass->visits));
    pass->again = calloc(n, sizeof(*pass->again));
    if (!pass->visits || !pass->again)
        goto fail;
    memcpy(pass->visits, learner->trace + (learner->n - learner->first - n),
           n * sizeof(*pass->visits));
    for (uint32_t i = 0; i < n; i++) {
        if (add_place(pass, i))
            goto fail;
    }
    return 0;

fail:
    pass_fini(pass);
    return -ENOMEM;
}

static void drop_places_from(struct pass *pass, uint32_t first)
{
    struct pass_place *place;
    struct pass_place *next;

    HASH_ITER(hh, pass->places, place, next)
    {
        if (place->at < first)
            continue;
        HASH_DEL(pass->places, place);
        free(place);
    }
}

static int grow(struct pass *pass, uint32_t n)
{
    struct pass_visit *visits = realloc(pass->visits, n * sizeof(*visits));
    uint32_t *again;

    if (!visits)
        return -ENOMEM;
    pass->visits = visits;
    again = realloc(pass->again, n * sizeof(*again));
    if (!again)
        return -ENOMEM;
    pass->again = again;
    return 0;
}

int pass_append(struct pass *pass, const struct pass_learner *learner)
{
    uint32_t n = (uint32_t)(learner->n - learner->first);
    uint32_t first = pass->n;

    if (!n)
        return -ENODATA;
    if (pass->n_phases == PASS_PHASES)
        return -ENOSPC;
    if (grow(pass, first + n))
        return -ENOMEM;
    memcpy(pass->visits + first, learner->trace, n * sizeof(*pass->visits));
    for (uint32_t i = first; i < first + n; i++) {
        if (add_place(pass, i)) {
            drop_places_from(pass, first);
            return -ENOMEM;
        }
    }
    pass->phases[pass->n_phases++] = (struct pass_phase){first, n};
    pass->n += n;
    return 0;
}

void pass_fini(struct pass *pass)
{
    struct pass_place *place;
    struct pass_place *next;

    HASH_ITER(hh, pass->places, place, next)
    {
        HASH_DEL(pass->places, place);
        free(place);
    }
    free(pass->visits);
    free(pass->again);
    *pass = (struct pass){.n = 0};
}

const struct pass_place *pass_find(const struct pass *pass, uint64_t key)
{
    struct pass_place *place;

    HASH_FIND(hh, pass->places, &key, sizeof(key), place);
    return place;
}

/* Positions from `from` forward to `to` of the same phase, around its end. */
static uint32_t ahead(const struct pass_phase *phase, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : to + phase->n - from;
}

static const struct pass_phase *phase_here(const struct pass *pass)
{
    return &pass->phases[pass->phase];
}

static uint32_t phase_of(const struct pass *pass, const struct pass_place *place)
{
    uint32_t phase = pass->n_phases - 1;

    while (place->at < pass->phases[phase].first)
        phase--;
    return phase;
}

/* Of the key's positions the one that is next, now included. */
static uint32_t nearest(const struct pass *pass, const struct pass_place *place)
{
    const struct pass_phase *phase = phase_here(pass);
    uint32_t best = place->at;

    for (uint32_t at = place->at;; at = pass->again[at]) {
        if (ahead(phase, pass->at, at) < ahead(phase, pass->at, best))
            best = at;
        if (pass->again[at] == at)
            return best;
    }
}

/* Whether one of its positions is so little behind that the visit there may go on. */
static bool is_here(struct pass *pass, const struct pass_place *place)
{
    for (uint32_t at = place->at;; at = pass->again[at]) {
        struct pass_visit *visit = &pass->visits[at];
        uint32_t behind = ahead(phase_here(pass), at, pass->at);

        if (behind <= visit->until + PASS_GAP_VISITS) {
            if (!pass->settled && behind > visit->until)
                visit->until = behind;
            return true;
        }
        if (pass->again[at] == at)
            return false;
    }
}

static void go_to(struct pass *pass, uint32_t at)
{
    bool over = at < pass->at;

    pass->begin += over ? phase_here(pass)->n : 0;
    pass->laps += over && pass->phase == 0;
    pass->run += over && pass->phase == 0;
    pass->moves++;
    pass->at = at;
}

static void enter(struct pass *pass, uint32_t phase, uint32_t at)
{
    pass->begin += phase_here(pass)->n;
    if (pass->phase == 0) {
        pass->laps++;
        pass->last_run = pass->entries ? pass->run + 1 : 0;
        pass->side = phase;
    } else if (phase == 0) {
        pass->run = 0;
    }
    pass->phase = phase;
    pass->entries++;
    pass->moves++;
    pass->at = at;
}

enum pass_step pass_touch(struct pass *pass, uint64_t key)
{
    const struct pass_place *place = pass_find(pass, key);
    uint32_t reach = phase_here(pass)->n / AHEAD_SHARE;
    uint32_t phase;
    uint32_t at;

    if (!place) {
        pass->foreign++;
        return PASS_FOREIGN;
    }
    phase = phase_of(pass, place);
    if (phase != pass->phase) {
        enter(pass, phase, place->at);
        return PASS_MOVES;
    }
    if (is_here(pass, place))
        return PASS_STAYS;
    at = nearest(pass, place);
    if (ahead(phase_here(pass), pass->at, at) <= max_u64(reach, AHEAD_LEAST)) {
        go_to(pass, at);
        return PASS_MOVES;
    }
    pass->jumps++;
    go_to(pass, at);
    return PASS_JUMPS;
}

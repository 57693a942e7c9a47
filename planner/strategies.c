/* SPDX-License-Identifier: MIT */
/* What is said of all ways together: which to go by, which comes nearest, how fast each is. */
#include <errno.h>
#include <string.h>

#include "planner/change.h"
#include "planner/strategy.h"
#include "runtime/util.h"

/* Who has pinned something wants the library to hold it. */
static bool may_recommend(const struct strategy_result *result, bool pinned)
{
    return result->fits &&
           (result->kind == STRATEGY_OURS || (result->kind == STRATEGY_ENGINE && !pinned));
}

/* Times are not known well enough to prefer a later row for a twentieth. */
static const struct strategy_result *recommend(const struct strategies *all, bool pinned)
{
    double least = -1;

    for (size_t i = 0; i < all->n; i++)
        if (may_recommend(&all->list[i], pinned) && (least < 0 || all->list[i].high < least))
            least = all->list[i].high;
    for (size_t i = 0; i < all->n; i++)
        if (may_recommend(&all->list[i], pinned) && all->list[i].high <= 1.05 * least)
            return &all->list[i];
    return NULL;
}

int strategies_judge(struct strategy_case *c, struct strategies *out)
{
    memset(out, 0, sizeof(*out));
    out->least = strategy_least(c);
    for (size_t i = 0; i < strategy_count(); i++) {
        struct strategy_result *result = &out->list[out->n];
        int r = strategy_judge(c, i, result);

        if (!r && result->applies && !result->fits)
            r = change_find(c, i, result);
        if (r)
            return r;
        if (result->applies && c->asked && strcmp(result->name, c->asked) == 0)
            out->asked = result;
        out->n += result->applies;
    }
    out->recommended = recommend(out, c->subject->n_pins > 0);
    return 0;
}

const char *strategies_speed(const struct strategies *all, const struct strategy_result *result)
{
    static const struct {
        double most; /* times the least */
        const char *word;
    } rows[] = {{1.1, "fastest"}, {2, "fast"}, {5, "medium"}, {20, "slow"}};

    if (!result->fits)
        return "";
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (result->high <= rows[i].most * all->least * (1 + 1e-9))
            return rows[i].word;
    return "slowest";
}

const struct strategy_result *strategies_nearest(const struct strategies *all)
{
    const struct strategy_result *nearest = NULL;

    for (size_t i = 0; i < all->n; i++) {
        const struct strategy_result *result = &all->list[i];

        if (result->kind != STRATEGY_OURS)
            continue;
        if (result->fits)
            return NULL;
        if (!nearest || result->short_by < nearest->short_by)
            nearest = result;
    }
    return nearest;
}

const struct strategy_result *strategies_taken(const struct strategies *all)
{
    if (all->asked)
        return all->asked->fits ? all->asked : NULL;
    return all->recommended;
}

/* SPDX-License-Identifier: MIT */
#include "planner/guide.h"

#include <string.h>

#include "runtime/util.h"

static const struct guide {
    const char *cards;
    uint64_t most_gib;
    uint32_t least_side;
    const char *ways;
} guides[] = {
#define GUIDE(cards, most_gib, least_side, ways) {cards, most_gib, least_side, ways},
#include "planner/guides.def"
};

static const struct guide *guide_of(const struct strategy_case *c)
{
    const struct workload *work = &c->subject->work;
    uint64_t memory = c->machine.memory ? c->machine.memory : c->machine.device;
    uint64_t pixels = (uint64_t)work->width * work->height;

    for (size_t i = 0; i < ARRAY_SIZE(guides); i++)
        if (memory <= guides[i].most_gib * GIB &&
            pixels >= (uint64_t)guides[i].least_side * guides[i].least_side)
            return &guides[i];
    return NULL;
}

static const struct strategy_result *find(const struct strategies *all, const char *name, size_t n)
{
    for (size_t i = 0; i < all->n; i++)
        if (strlen(all->list[i].name) == n && memcmp(all->list[i].name, name, n) == 0)
            return &all->list[i];
    return NULL;
}

/* Those of the ways of which the verdict is such. */
static void print_those(const struct guide *guide, const struct strategies *all, bool there,
                        const char *title, FILE *out)
{
    const char *before = title;

    for (const char *at = guide->ways; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        const struct strategy_result *result = find(all, at, n);

        if (there ? result && !result->fits : !result) {
            fprintf(out, "%s%.*s", before, (int)n, at);
            before = ", ";
        }
        at += n;
    }
}

void guide_print(const struct strategy_case *c, const struct strategies *all, FILE *out)
{
    const struct guide *guide =
        c->subject->kind == SUBJECT_IMAGE && c->machine.has_card ? guide_of(c) : NULL;

    if (!guide)
        return;
    fprintf(out, "Guides           say for %s: %s", guide->cards,
            machine_computing_type(&c->machine));
    for (const char *at = guide->ways; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");

        fprintf(out, ", %.*s", (int)n, at);
        at += n;
    }
    print_those(guide, all, true, "\n                 does not fit here: ", out);
    print_those(guide, all, false, "\n                 without effect here: ", out);
    fputc('\n', out);
}

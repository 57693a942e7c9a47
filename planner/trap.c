/* SPDX-License-Identifier: MIT */
/*
 * The rows' expressions are compiled here, with the words below: a trap is one row, and what it
 * takes for it to apply stands beside what is said.
 */
#include "planner/trap.h"

#include <stdio.h>
#include <string.h>

#include "planner/text.h"
#include "runtime/util.h"

/* The words of the rows, about facts `f`. */
#define is(name)     (f->program && strcmp(f->program, name) == 0)
#define will(name)   (f->planned && f->library && is(name)) /* it is to run with the library */
#define is_own(name) (f->own_offload && is(name)) /* and its own offload is to do instead */
#define sees(mask)   signs_have(&f->signs, mask)
#define count(mask)  signs_count(&f->signs, mask)

#define FRAMEWORK_OFFLOADS                                                                         \
    (SIGN_BIT(MODEL_OFFLOAD) | SIGN_BIT(SEQUENTIAL_OFFLOAD) | SIGN_BIT(GROUP_OFFLOAD))
#define OFFLOADS    (FRAMEWORK_OFFLOADS | SIGN_BIT(OTHER_OFFLOAD))

#define ONE_CONTEXT GIB   /* the planner's own takes a part of it */
#define SLOW_DISK   0.5e9 /* bytes per second; SATA's most */

static const struct trap traps[] = {
#define TRAP(id, check, applies, may, signs, says, figures, fix, source)                           \
    {#id, check, signs, says, figures, fix, source},
#include "planner/traps.def"
};

const struct trap *trap_at(enum trap_id id)
{
    return &traps[id];
}

static enum trap_verdict verdict(bool applies, bool may)
{
    if (applies)
        return TRAP_APPLIES;
    return may ? TRAP_POSSIBLE : TRAP_ABSENT;
}

enum trap_verdict trap_judge(enum trap_id id, const struct trap_facts *f)
{
    switch (id) {
#define TRAP(id, check, applies, may, signs, says, figures, fix, source)                           \
    case TRAP_##id:                                                                                \
        return verdict(applies, may);
#include "planner/traps.def"
    default:
        return TRAP_ABSENT;
    }
}

static void tell_seconds(double seconds, char out[32])
{
    if (seconds < 1)
        snprintf(out, 32, "%.3g ms", seconds * 1e3);
    else
        snprintf(out, 32, "%.3g s", seconds);
}

static void tell_rate(double rate, char out[32])
{
    snprintf(out, 32, "%.1f GB/s", rate / 1e9);
}

/* One figure of a row; false when it is not known. */
static bool tell_figure(char name, const struct trap_facts *f, char out[32])
{
    const struct {
        char name;
        uint64_t bytes;
        double seconds, rate;
    } figures[] = {
        {'c', .bytes = f->component},
        {'d', .bytes = f->device},
        {'h', .bytes = f->host},
        {'a', .bytes = f->available},
        {'m', .bytes = f->lockable},
        {'u', .bytes = f->others},
        {'t', .bytes = f->tied},
        {'v', .bytes = f->values_saved},
        {'s', .seconds = f->with},
        {'o', .seconds = f->without},
        {'p', .rate = f->pageable_rate},
        {'l', .rate = f->link_rate},
        {'w', .seconds = f->disk_rate > 0 ? (double)f->disk / f->disk_rate : 0},
    };

    if (name == 'g') {
        snprintf(out, 32, "%u.%u", f->capability / 10, f->capability % 10);
        return f->capability != 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
        if (figures[i].name != name)
            continue;
        if (figures[i].seconds > 0)
            tell_seconds(figures[i].seconds, out);
        else if (figures[i].rate > 0)
            tell_rate(figures[i].rate, out);
        else
            text_size(figures[i].bytes, out);
        return figures[i].seconds > 0 || figures[i].rate > 0 || figures[i].bytes > 0;
    }
    return false;
}

/* All of a row's figures, or none. */
static bool tell_figures(const char *format, const struct trap_facts *f, char *out, size_t size)
{
    size_t n = 0;

    for (; *format && n + 33 < size; format++) {
        if (*format != '%')
            out[n++] = *format;
        else if (!tell_figure(*++format, f, out + n))
            return false;
        else
            n += strlen(out + n);
    }
    out[n] = '\0';
    return n > 0;
}

void trap_tell(enum trap_id id, const struct trap_facts *facts, char *out, size_t size)
{
    const struct trap *trap = &traps[id];
    const struct clue *clue = facts ? signs_clue(&facts->signs, trap->signs) : NULL;
    char details[160];

    if (clue)
        clue_describe(clue, details, sizeof(details));
    if (clue || (facts && tell_figures(trap->figures, facts, details, sizeof(details))))
        snprintf(out, size, "%s (%s)", trap->says, details);
    else
        snprintf(out, size, "%s", trap->says);
}

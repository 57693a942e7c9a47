/* SPDX-License-Identifier: MIT */
/*
 * The counters and their print-out, derived from counters.def.
 */
#include "runtime/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include "runtime/quiet.h"

#define LINE_MAX_BYTES 80

_Atomic uint64_t stats_counters[COUNTER_COUNT];

enum kind {
    GAUGE,
    TOTAL,
};

static const struct {
    const char *name;
    enum kind kind;
} rows[] = {
#define COUNTER(name, kind, unit, help) {#name, kind},
#include "runtime/counters.def"
};

const char *counter_name(enum counter counter)
{
    return rows[counter].name;
}

int counter_is_gauge(enum counter counter)
{
    return rows[counter].kind == GAUGE;
}

/* Written as one piece, so that two processes that end together do not mix their lines. */
void stats_print(int fd)
{
    char text[COUNTER_COUNT * LINE_MAX_BYTES];
    size_t used = 0;

    for (unsigned int i = 0; i < COUNTER_COUNT; i++) {
        uint64_t value = atomic_load_explicit(&stats_counters[i], memory_order_relaxed);

        if (value == 0 && !counter_is_gauge(i))
            continue;
        used += snprintf(text + used, LINE_MAX_BYTES, "vramshim: %s %" PRIu64 "\n", rows[i].name,
                         value);
    }
    quiet_write(fd, text, used);
}

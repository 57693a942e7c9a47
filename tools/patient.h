/* SPDX-License-Identifier: MIT */
#pragma once

/* What the checks of `vramshim doctor` look at, and what they say. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "planner/slot.h"
#include "planner/trap.h"
#include "tools/command.h"
#include "tools/gpu.h"
#include "tools/listen.h"
#include "tools/management.h"
#include "tools/self_test.h"

struct patient {
    const struct options *options;
    const char *root; /* before /proc and /sys */
    const char *spill;
    bool has_driver, has_card, has_slot;
    char why_not[160]; /* no card */
    struct gpu gpu;
    struct slot slot;
    struct management management;
    struct self_result host_vmm, pin;
    uint64_t pin_bytes; /* that were tried */
    struct heard heard;
    struct trap_facts facts;
};

enum verdict { VERDICT_PASS, VERDICT_WARN, VERDICT_FAIL, VERDICT_SKIP, VERDICTS };

struct finding {
    enum verdict verdict;
    char says[320];
    char fix[320];           /* empty: the row's */
    const struct trap *trap; /* that it is; NULL */
};

__attribute__((format(printf, 3, 4))) void find(struct finding *out, enum verdict verdict,
                                                const char *format, ...);
__attribute__((format(printf, 2, 3))) void find_fix(struct finding *out, const char *format, ...);

/* What was found is a known trap, for which this check answers. */
void find_trap(struct finding *out, enum trap_id id);

/* The first line of a file below the patient's root, without its end; false when there is none. */
bool patient_line(const struct patient *patient, const char *path, char *out, size_t size);

#define CHECK(id, need, question, fix)                                                             \
    void check_##id(const struct patient *patient, struct finding *out);
#include "tools/checks.def"

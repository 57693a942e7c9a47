/* SPDX-License-Identifier: MIT */
/* The check of what the kernel's log says of the card. */
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/kernel_log.h"
#include "tools/patient.h"

enum whose { WHOSE_PROGRAM, WHOSE_CARD };

static const struct meaning {
    unsigned int number;
    enum whose whose;
    const char *text;
} meanings[] = {
#define XID(number, whose, meaning) {number, WHOSE_##whose, meaning},
#include "tools/xids.def"
};

struct errors {
    unsigned int programs, cards, others;
    unsigned int last[2]; /* the number of the last one, of a program and of the card */
};

static const struct meaning *meaning_of(unsigned int number)
{
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
        if (meanings[i].number == number)
            return &meanings[i];
    return NULL;
}

static void count(const struct xid *xid, void *context)
{
    const struct meaning *meaning = meaning_of(xid->number);
    enum whose whose = meaning ? meaning->whose : WHOSE_PROGRAM;
    struct errors *errors = context;

    errors->cards += whose == WHOSE_CARD;
    errors->programs += meaning && whose == WHOSE_PROGRAM;
    errors->others += !meaning;
    errors->last[whose] = xid->number;
}

static const char *text_of(unsigned int number)
{
    const struct meaning *meaning = meaning_of(number);

    return meaning ? meaning->text : "not known here; NVIDIA's list of Xid errors tells";
}

void check_xid(const struct patient *p, struct finding *out)
{
    struct errors errors = {0};
    unsigned int all;
    char why[200];

    if (kernel_log_read(p->root, p->has_card ? p->gpu.bus_id : "", count, &errors, why,
                        sizeof(why))) {
        find(out, VERDICT_SKIP, "%s", why);
        return;
    }
    all = errors.cards + errors.programs + errors.others;
    if (errors.cards) {
        find(out, VERDICT_FAIL, "%u errors, the last of the card itself Xid %u: %s", all,
             errors.last[WHOSE_CARD], text_of(errors.last[WHOSE_CARD]));
        find_fix(out, "read the kernel's log (dmesg) from the first Xid on; where it returns after "
                      "a restart, the card or its slot is bad");
    } else if (all) {
        find(out, VERDICT_WARN, "%u errors of programs, the last Xid %u: %s", all,
             errors.last[WHOSE_PROGRAM], text_of(errors.last[WHOSE_PROGRAM]));
    } else {
        find(out, VERDICT_PASS, "the kernel's log names no error of it");
    }
}

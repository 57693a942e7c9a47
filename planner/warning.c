/* SPDX-License-Identifier: MIT */
/* Traps as a plan shows them: what goes wrong, and below it what to do. */
#include "planner/warning.h"

#include <string.h>

enum {
    INDENT = 15,
    WIDTH = 100,
};

/* In words, from column INDENT on. */
static void print_wrapped(const char *text, FILE *out)
{
    size_t column = INDENT;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (column > INDENT && column + 1 + n > WIDTH) {
            fprintf(out, "\n%*s", INDENT, "");
            column = INDENT;
        }
        fprintf(out, "%s%.*s", column > INDENT ? " " : "", (int)n, text);
        column += n + (column > INDENT);
        text += n + (text[n] == ' ');
    }
    fputc('\n', out);
}

void warning_print(enum trap_id id, const struct trap_facts *facts, bool whole, FILE *out)
{
    const struct trap *trap = trap_at(id);
    char text[512];

    trap_tell(id, facts, text, sizeof(text));
    fprintf(out, "  %-*s", INDENT - 2, trap->id);
    print_wrapped(text, out);
    fprintf(out, "%*s", INDENT, "");
    snprintf(text, sizeof(text), "Fix: %s", trap->fix);
    print_wrapped(text, out);
    if (whole)
        fprintf(out, "%*sFrom: %s\n", INDENT, "", trap->source);
    if (whole && *trap->check)
        fprintf(out, "%*sCheck: vramshim doctor, %s\n", INDENT, "", trap->check);
}

static void print_all(enum trap_verdict verdict, const char *title, const struct trap_facts *facts,
                      bool explain, FILE *out)
{
    bool any = false;

    for (enum trap_id id = 0; id < TRAP_COUNT; id++) {
        if (trap_judge(id, facts) != verdict)
            continue;
        if (!any)
            fprintf(out, "\n%s\n", title);
        any = true;
        warning_print(id, facts, explain, out);
    }
}

void warnings_print(const struct trap_facts *facts, bool explain, FILE *out)
{
    print_all(TRAP_APPLIES, "Traps", facts, explain, out);
    if (explain)
        print_all(TRAP_POSSIBLE, "Traps that may be in the way", facts, explain, out);
}

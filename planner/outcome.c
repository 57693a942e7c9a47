/* SPDX-License-Identifier: MIT */
#include "planner/outcome.h"

#include <string.h>

#include "planner/text.h"

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_term(const char *name, uint64_t predicted, uint64_t actual, FILE *out)
{
    char left[32], right[32];

    fprintf(out, "  %-12s %12s %12s", name, text_size(predicted, left), text_size(actual, right));
    if (predicted && actual)
        fprintf(out, "  %+.1f %%", percent(actual, predicted) - 100);
    fputs(actual || !predicted ? "\n" : "  not seen\n", out);
}

void outcome_print(const struct account *a, const char *path, FILE *out)
{
    char text[200], error[32], total[32], free_text[32], ours[32], rest[32];

    fprintf(out, "%s\n\n  %-12s %12s %12s\n", text_escape(a->model, strlen(a->model), text, 200),
            "", "predicted", "actual");
    for (int i = 0; i < ACCOUNT_TERMS; i++)
        print_term(account_term_name((enum account_term)i), a->terms[i].predicted,
                   a->terms[i].actual, out);
    print_term("peak", a->peak.predicted, a->peak.actual, out);
    fprintf(out, "\nPrediction       %s +- %s\n",
            account_is_missed(a) ? "missed, by more than" : "kept, within",
            text_size(a->error, error));
    fprintf(out, "Card             %s: %s free, %s the library's, %s unaccounted\n",
            text_size(a->total, total), text_size(a->free, free_text), text_size(a->ours, ours),
            text_size(a->terms[ACCOUNT_UNACCOUNTED].actual, rest));
    fprintf(out, "Recognised       %.1f %% of the plan's bytes, %.1f %% by their size alone\n",
            percent(a->recognised, a->planned), percent(a->by_size, a->planned));
    fprintf(out, "Functions        %u were seen to be harmless\n", a->functions.n);
    fprintf(out, "Next             vramshim-plan MODEL --report %s\n",
            text_escape(path, strlen(path), text, 200));
}

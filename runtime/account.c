/* SPDX-License-Identifier: MIT */
#include "runtime/account.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/fields.h"
#include "runtime/util.h"

static const char *const term_words[] = {
    [ACCOUNT_WEIGHTS] = "weights",
    [ACCOUNT_CACHE] = "cache",
    [ACCOUNT_BUFFERS] = "buffers",
    [ACCOUNT_UNACCOUNTED] = "unaccounted",
};

const char *account_term_name(enum account_term term)
{
    return term_words[term];
}

void account_print(const struct account *a, FILE *out)
{
    fputs("vramshim-report 2\nmodel ", out);
    fields_put_text(out, a->model);
    fprintf(out, "\ncard %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", a->total, a->free, a->ours);
    fprintf(out, "recognised %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", a->recognised, a->by_size,
            a->planned);
    for (int i = 0; i < ACCOUNT_TERMS; i++)
        fprintf(out, "term %s %" PRIu64 " %" PRIu64 "\n", term_words[i], a->terms[i].predicted,
                a->terms[i].actual);
    fprintf(out, "peak %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", a->peak.predicted, a->peak.actual,
            a->error);
    roll_print(&a->functions, out);
    fputs("end\n", out);
}

/* The word, then so many numbers, and nothing more. */
static bool take(struct lines *lines, const char *word, const char *second, uint64_t *const *out,
                 size_t n)
{
    struct fields line;
    bool bad;

    if (!lines_next(lines, &line, &bad) || bad || !fields_word(&line, word) ||
        (second && !fields_word(&line, second)))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!fields_number(&line, out[i]))
            return false;
    }
    return fields_end(&line);
}

static bool take_model(struct lines *lines, struct account *out)
{
    char text[FIELDS_TEXT_MAX + 1];
    struct fields line;
    bool bad;

    if (!lines_next(lines, &line, &bad) || bad || !fields_word(&line, "model") ||
        !fields_text(&line, text) || !fields_end(&line))
        return false;
    out->model = strdup(text);
    return out->model != NULL;
}

static bool take_terms(struct lines *lines, struct account *a)
{
    bool good = true;

    for (int i = 0; i < ACCOUNT_TERMS; i++) {
        uint64_t *const numbers[] = {&a->terms[i].predicted, &a->terms[i].actual};

        good = good && take(lines, "term", term_words[i], numbers, ARRAY_SIZE(numbers));
    }
    return good;
}

/* Up to the end. *out_what is written where there is more to say than that a line is wrong. */
static int take_functions(struct lines *lines, struct roll *out, const char **out_what)
{
    struct fields line;
    bool bad;
    int r;

    while (lines_next(lines, &line, &bad) && !bad) {
        if (fields_word(&line, "end"))
            return fields_end(&line) ? 0 : -EINVAL;
        if (!fields_word(&line, "function"))
            return -EINVAL;
        r = roll_take(out, &line, out_what);
        if (r || !fields_end(&line))
            return r ? r : -EINVAL;
    }
    return -EINVAL;
}

/* What a card cannot have is no measurement. */
static bool is_possible(const struct account *a)
{
    return a->free <= a->total && a->ours <= a->total &&
           a->terms[ACCOUNT_UNACCOUNTED].actual <= a->total;
}

int account_parse(const char *name, const char *text, size_t size, char *error, size_t error_size,
                  struct account *out)
{
    struct lines lines = {.at = text, .end = text + size};
    struct account a = {.model = NULL};
    uint64_t *const card[] = {&a.total, &a.free, &a.ours};
    uint64_t *const recognised[] = {&a.recognised, &a.by_size, &a.planned};
    uint64_t *const peak[] = {&a.peak.predicted, &a.peak.actual, &a.error};

    const char *what = NULL;
    int r = -EINVAL;

    if (!take(&lines, "vramshim-report", "2", NULL, 0)) {
        fields_say(error, error_size, name, lines.number, "not a report of VRAMSHIM_REPORT");
        return -EINVAL;
    }
    if (take_model(&lines, &a) && take(&lines, "card", NULL, card, ARRAY_SIZE(card)) &&
        take(&lines, "recognised", NULL, recognised, ARRAY_SIZE(recognised)) &&
        take_terms(&lines, &a) && take(&lines, "peak", NULL, peak, ARRAY_SIZE(peak)) &&
        (r = take_functions(&lines, &a.functions, &what)) == 0 && is_possible(&a)) {
        *out = a;
        return 0;
    }
    if (r == 0) {
        what = "the card has less memory than is free or taken of it";
        r = -EINVAL;
    }
    if (r == -ENOMEM)
        fields_say(error, error_size, name, 0, "out of memory");
    else
        fields_say(error, error_size, name, lines.number,
                   what ? what : "not a line that a report has here");
    account_fini(&a);
    return r;
}

int account_load(const char *path, char *error, size_t error_size, struct account *out)
{
    size_t size;
    char *text;
    int r = fields_load(path, error, error_size, &text, &size);

    if (r)
        return r;
    r = account_parse(path, text, size, error, error_size, out);
    free(text);
    return r;
}

void account_fini(struct account *account)
{
    roll_fini(&account->functions);
    free(account->model);
    account->model = NULL;
}

bool account_is_missed(const struct account *a)
{
    uint64_t apart = a->peak.actual > a->peak.predicted ? a->peak.actual - a->peak.predicted
                                                        : a->peak.predicted - a->peak.actual;

    return apart > a->error;
}

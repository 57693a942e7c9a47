/* SPDX-License-Identifier: MIT */
/*
 * vramshim-plan: whether a model runs, where its bytes would lie, how fast, and with which flags.
 *
 * Exit status: 0 it runs, or no budget is known; 1 it does not; 2 usage; 3 no card where one is
 * needed, or the answer could not be written; 4 the model file or the report is bad; 5 a report
 * says that a prediction was missed.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "planner/answer.h"
#include "planner/change.h"
#include "planner/complain.h"
#include "planner/draft.h"
#include "planner/idle.h"
#include "planner/options.h"
#include "planner/outcome.h"
#include "planner/preset.h"
#include "planner/question.h"
#include "planner/stay.h"
#include "runtime/util.h"

static int finish(int r)
{
    if (!r && fflush(stdout) == 0)
        return 0;
    return complain(STATUS_ENVIRONMENT, "cannot write the report: %s", strerror(r ? -r : errno));
}

static int verdict(const struct question *question)
{
    if (!question->given.machine.has_card)
        return STATUS_FITS;
    return strategies_taken(&question->strategies) ? STATUS_FITS : STATUS_DOES_NOT_FIT;
}

/* What is missing, and what would do. */
static const char *lack_text(const struct strategy_result *r, char out[160])
{
    char few[32];

    snprintf(out, 160, "%s is short of %s of %s%s%s", r->name, text_size(r->short_by, few),
             strategy_lack_name(r->lack), r->change[0] ? "; it fits with " : "", r->change);
    return out;
}

/* What was asked for has to say something about the model. */
static int check_strategy(struct question *question)
{
    char names[512] = "";
    size_t used = 0;

    if (!question->given.machine.has_card || !question->given.asked || question->strategies.asked)
        return 0;
    for (size_t i = 0; i < question->strategies.n && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
                                 question->strategies.list[i].name);
    return complain(STATUS_USAGE, "--strategy %s says nothing about this model; those that do: %s",
                    question->options.strategy, names);
}

/* Why the library cannot be told to go the way that was asked for; NULL when it can. */
static const char *why_no_plan(const struct question *question)
{
    const struct strategy_result *asked = question->strategies.asked;

    if (question->without)
        return "none is the program as it is, without the library, and no plan";
    if (asked && asked->kind == STRATEGY_ENGINE)
        return "this is what the program does by itself";
    if (asked && asked->kind == STRATEGY_ADVICE)
        return "this needs another file, or is the program's to do";
    return NULL;
}

/* The plan for the library, where it was asked for. */
static int write_plan(struct question *question)
{
    const char *path = question->options.output;
    const struct strategy_result *asked = question->strategies.asked;
    const struct strategy_result *way =
        asked ? strategies_taken(&question->strategies) : draft_choose(&question->strategies);
    const struct input *model = inputs_find(&question->inputs, INPUT_MODEL);
    struct planfile *draft;
    char error[1024], lack[160];
    int r;

    if (!path)
        return 0;
    if (!question->given.machine.has_card)
        return complain(STATUS_ENVIRONMENT, "%s; say what to plan for with --gpu or --vram",
                        question->given.machine.why_not);
    if (why_no_plan(question))
        return complain(STATUS_USAGE, "%s is not written: %s", path, why_no_plan(question));
    if (!way && question->subject.n_pins && !asked)
        asked = strategies_nearest(&question->strategies);
    if (!way)
        return complain(STATUS_DOES_NOT_FIT, "%s is not written: %s", path,
                        asked ? lack_text(asked, lack) : "nothing fits");
    r = draft_make(&question->given, way, model ? model->name : (struct text){NULL, 0},
                   &question->functions, error, sizeof(error), &draft);
    if (r)
        return complain(r == -ENOMEM ? STATUS_ENVIRONMENT : STATUS_BAD_MODEL, "%s", error);
    r = draft_write(draft, path);
    planfile_free(draft);
    return r ? complain(STATUS_ENVIRONMENT, "%s: %s", path, strerror(-r)) : 0;
}

/* Whether what does not fit as it is pinned does otherwise. */
static bool fits_unpinned(struct question *question)
{
    struct strategies all;
    size_t n_pins = question->subject.n_pins;

    if (!n_pins || !question->given.machine.has_card || strategies_taken(&question->strategies))
        return false;
    question->subject.n_pins = 0;
    for (size_t i = 0; i < question->subject.n_pieces; i++)
        question->subject.pieces[i].pin = PLACE_ANYWHERE;
    if (strategies_judge(&question->given, &all) != 0)
        all.recommended = NULL;
    question->subject.n_pins = n_pins;
    return all.recommended != NULL;
}

/* Places the pieces, to be shown, as a plan would have them. */
static const struct strategy_result *place(struct question *question)
{
    const struct strategy_result *way = strategies_taken(&question->strategies);

    if (!question->options.explain || !way || way->kind != STRATEGY_OURS)
        return NULL;
    way = question->strategies.asked ? way : draft_choose(&question->strategies);
    return way && stay_choose(&question->given, way->name) == 0 ? way : NULL;
}

static int answer(struct question *question)
{
    struct answer answer = {
        .path = question->options.n_paths ? question->options.paths[0] : NULL,
        .model = question->inputs.n ? &question->model : NULL,
        .parts = question->parts,
        .n_parts = question->n_parts,
        .arch = question->arch,
        .given = &question->given,
        .strategies = &question->strategies,
        .request = &question->options.machine,
        .plan = question->options.output,
        .without = question->without,
        .fits_unpinned = fits_unpinned(question),
        .compare = question->options.compare,
        .explain = question->options.explain,
        .placed = place(question),
    };
    int r = 0;

    if (question->options.json)
        r = answer_print_json(&answer, stdout);
    else
        answer_print(&answer, stdout);
    r = finish(r);
    return r ? r : verdict(question);
}

/* One line. */
static int answer_check(struct question *question)
{
    const struct strategy_result *best = strategies_taken(&question->strategies);
    const struct strategy_result *asked = question->strategies.asked;
    char lack[160];

    if (question->subject.n_pins && !asked)
        asked = strategies_nearest(&question->strategies);
    if (question->given.machine.without && !question->options.json) {
        puts("yes: without a card there is nothing to do");
        return finish(0) ? STATUS_ENVIRONMENT : STATUS_FITS;
    }
    if (!question->given.machine.has_card)
        return complain(STATUS_ENVIRONMENT, "%s; say what to check for with --gpu or --vram",
                        question->given.machine.why_not);
    if (question->options.json)
        return answer(question);
    if (best)
        printf("yes: %s\n", question->without ? PRESET_NONE : best->name);
    else if (asked)
        printf("no: %s\n", lack_text(asked, lack));
    else
        puts("no: nothing fits; --compare says what is missing");
    return finish(0) ? STATUS_ENVIRONMENT : verdict(question);
}

/* What there may be the most of. */
static const struct most {
    const char *name;
    int (*find)(struct strategy_case *, uint64_t *);
    bool of_images, of_tokens;
} mosts[] = {
    {"ctx", change_max_context, .of_tokens = true},
    {"batch", change_max_batch},
    {"resolution", change_max_resolution, .of_images = true},
};

/* Whether more tokens take more memory, and how much. */
static bool counts_tokens(const struct subject *subject)
{
    return subject->kind != SUBJECT_IMAGE && subject->demand.cache_known &&
           !subject->measured.cache;
}

static int answer_max(struct question *question)
{
    const struct most *most = NULL;
    uint64_t value = 0;

    for (size_t i = 0; i < ARRAY_SIZE(mosts); i++)
        most = strcmp(question->options.max, mosts[i].name) == 0 ? &mosts[i] : most;
    if (!most)
        return complain(STATUS_USAGE, "--max \"%.80s\" is neither ctx, batch nor resolution",
                        question->options.max);
    if (most->of_tokens && !counts_tokens(&question->subject))
        return complain(STATUS_USAGE, "--max %s: what this model keeps of a token is not known",
                        question->options.max);
    if (most->of_images && question->subject.kind != SUBJECT_IMAGE)
        return complain(STATUS_USAGE, "--max resolution is for models that make images");
    if (!question->given.machine.has_card)
        return complain(STATUS_ENVIRONMENT, "%s; say what to look for with --gpu or --vram",
                        question->given.machine.why_not);
    if (most->find(&question->given, &value))
        return complain_memory();
    printf(most->of_images ? "%" PRIu64 "x%" PRIu64 "\n" : "%" PRIu64 "\n", value, value);
    if (finish(0))
        return STATUS_ENVIRONMENT;
    return value ? STATUS_FITS : STATUS_DOES_NOT_FIT;
}

/* vramshim-plan report FILE */
static int tell_outcome(char **arguments)
{
    struct account account;
    char error[1024];
    int status;

    if (!arguments[0] || arguments[1])
        return complain(STATUS_USAGE, "usage: vramshim-plan report FILE");
    if (account_load(arguments[0], error, sizeof(error), &account))
        return complain(STATUS_BAD_MODEL, "%s", error);
    outcome_print(&account, arguments[0], stdout);
    status = account_is_missed(&account) ? STATUS_MISSED : STATUS_FITS;
    account_fini(&account);
    return finish(0) ? STATUS_ENVIRONMENT : status;
}

static int run(struct question *question)
{
    int told, status = question_take(question);

    if (status)
        return status;
    idle_print(&question->options, &question->subject, stderr);
    if (question->given.machine.has_card &&
        strategies_judge(&question->given, &question->strategies) != 0)
        return complain_memory();
    status = check_strategy(question);
    status = status ? status : write_plan(question);
    /* That there is no plan is no reason not to say why. */
    if (status && status != STATUS_DOES_NOT_FIT)
        return status;
    told = question->options.max     ? answer_max(question)
           : question->options.check ? answer_check(question)
                                     : answer(question);
    return told ? told : status;
}

int main(int argc, char **argv)
{
    static struct question question;
    char error[1024];
    int status;

    /* So that a plan that grows too long is an error like others, and nothing of it stays. */
    (void)signal(SIGXFSZ, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return tell_outcome(argv + 2);
    if (options_parse(argc ? argv + 1 : argv, &question.options, error, sizeof(error)) != 0 ||
        idle_conflict(&question.options, error, sizeof(error)) != 0)
        return complain(STATUS_USAGE, "%s", error);
    if (question.options.help) {
        options_print_help();
        return finish(0) ? STATUS_ENVIRONMENT : STATUS_FITS;
    }
    if (question.options.version) {
        puts("vramshim-plan " VRAMSHIM_VERSION);
        return finish(0) ? STATUS_ENVIRONMENT : STATUS_FITS;
    }
    status = run(&question);
    question_fini(&question);
    return status;
}

/* SPDX-License-Identifier: MIT */
/*
 * vramshim-plan: whether a model runs, where its bytes would lie, how fast, and with which flags.
 *
 * Exit status: 0 it runs, or no budget is known; 1 it does not; 2 usage; 3 no card where one is
 * needed, or the answer could not be written; 4 the model file or the report is bad; 5 a report
 * says that a prediction was missed.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "planner/answer.h"
#include "planner/change.h"
#include "planner/draft.h"
#include "planner/message.h"
#include "planner/idle.h"
#include "planner/options.h"
#include "planner/outcome.h"
#include "planner/pin.h"
#include "planner/preset.h"
#include "planner/stay.h"
#include "runtime/config.h"
#include "runtime/nearest.h"
#include "runtime/util.h"

enum status {
    STATUS_FITS = 0,
    STATUS_DOES_NOT_FIT = 1,
    STATUS_USAGE = 2,
    STATUS_ENVIRONMENT = 3,
    STATUS_BAD_MODEL = 4,
    STATUS_MISSED = 5,
};

/* All that is known, and who owns what of it. */
struct plan {
    struct options options;
    struct inputs inputs;
    struct model model, parts[INPUTS_MAX];
    size_t n_parts;
    bool without; /* the library */
    struct arch imagined;
    const struct arch *arch;
    struct subject subject;
    struct strategy_case given;
    struct strategies strategies;
    char *pins[TEXTS_MAX]; /* taken apart */
    char figures[3][24];   /* of a report, as options have them; */
    struct roll functions; /* and what else it knows */
};

static int complain(enum status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int complain(enum status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    message_complain("vramshim-plan", format, args);
    va_end(args);
    return status;
}

static int complain_memory(void)
{
    return complain(STATUS_ENVIRONMENT, "out of memory");
}

static int find_engine(const char *name, const struct engine_row **out)
{
    const char *names[32];
    size_t n = 0;

    *out = name ? engine_row_find(name) : NULL;
    if (*out || !name)
        return 0;
    for (; n < ARRAY_SIZE(names) && engine_row_at(n); n++)
        names[n] = engine_row_at(n)->name;
    return complain(STATUS_USAGE, "--for \"%.80s\": nothing is known of it; did you mean %s?", name,
                    nearest_choice(name, names, n));
}

static int find_strategy(struct plan *plan)
{
    const char *name = plan->options.strategy;
    char names[512];

    if (!name)
        return 0;
    plan->given.asked = preset_strategy(name);
    if (!plan->given.asked)
        return complain(STATUS_USAGE, "--strategy \"%.80s\": did you mean %s? There are %s", name,
                        preset_nearest(name), preset_names(names, sizeof(names)));
    plan->without = strcmp(plan->given.asked, PRESET_NONE) == 0;
    if (plan->without && plan->options.pins.n)
        return complain(STATUS_USAGE,
                        "--strategy none: without the library nothing is pinned; leave "
                        "--pin out");
    if (plan->without)
        plan->given.asked = "resident";
    return 0;
}

static int look_at_machine(struct plan *plan)
{
    char error[512];
    int status;

    if (machine_look(&plan->options.machine, &plan->given.machine, error, sizeof(error)) != 0)
        return complain(STATUS_USAGE, "%s", error);
    plan->given.chunk = machine_settings()->chunk;
    plan->given.small = machine_settings()->small;
    plan->given.apart = plan->options.apart;
    plan->given.no_quantize = plan->options.no_quantize;
    status = find_strategy(plan);
    return status ? status : find_engine(plan->options.program, &plan->given.engine);
}

/* Where a line does not say what to do, there are two things that help. */
static int complain_of(int r, const struct message *message)
{
    bool advised = r != -EINVAL || strchr(message->text, ';') || strchr(message->text, '?');

    return complain(r == -ENOMEM ? STATUS_ENVIRONMENT : STATUS_BAD_MODEL, "%s%s", message->text,
                    advised ? "" : "; get it again, or convert it again");
}

/* Opens what an option names as one thing. */
static int open_as(struct plan *plan, const char *path, enum input_role role)
{
    size_t before = plan->inputs.n;
    struct message message;
    int r = path ? inputs_open(&plan->inputs, path, &message) : 0;

    if (r)
        return complain_of(r, &message);
    for (size_t i = before; i < plan->inputs.n; i++)
        plan->inputs.list[i]->role = role;
    return 0;
}

static int open_inputs(struct plan *plan)
{
    const struct options *options = &plan->options;
    struct message message;
    int status;

    for (size_t i = 0; i < options->n_paths; i++) {
        int r = inputs_open(&plan->inputs, options->paths[i], &message);

        if (r)
            return complain_of(r, &message);
    }
    if (inputs_sort(&plan->inputs) != 0)
        return complain(STATUS_USAGE, "%s: this goes with a model; name the model too",
                        options->paths[0]);
    status = open_as(plan, options->encoder, INPUT_ENCODER);
    return status ? status : open_as(plan, options->decoder, INPUT_DECODER);
}

static bool is_phase(const struct input *input)
{
    return input->role == INPUT_ENCODER || input->role == INPUT_DECODER;
}

/* Those of the main phase before the others. */
static int add_parts(struct plan *plan, bool phases)
{
    for (size_t i = 0; i < plan->inputs.n; i++) {
        const struct input *input = plan->inputs.list[i];
        struct model *part = &plan->parts[plan->n_parts];

        if (input->role == INPUT_MODEL || is_phase(input) != phases)
            continue;
        if (phases && plan->subject.kind != SUBJECT_IMAGE)
            return complain(STATUS_USAGE, "%s: only image models have an encoder and a decoder",
                            input->path);
        model_init(part, input);
        plan->n_parts++;
        if (subject_add(&plan->subject, part))
            return complain_memory();
    }
    return 0;
}

static int open_model(struct plan *plan, const struct workload *work,
                      const struct measured *measured)
{
    int status = open_inputs(plan);
    const struct input *input;

    if (status)
        return status;
    input = inputs_find(&plan->inputs, INPUT_MODEL);
    model_init(&plan->model, input);
    plan->arch = &input->arch;
    if (subject_init(&plan->subject, &plan->model, plan->arch, work, measured))
        return complain_memory();
    status = add_parts(plan, false);
    return status ? status : add_parts(plan, true);
}

/* A size in place of a file. */
static bool is_size(const struct options *options)
{
    const char *text = options->n_paths ? options->paths[0] : "";

    return options->n_paths == 1 && isdigit((unsigned char)*text) && !strchr(text, '/') &&
           !strstr(text, ".gguf") && !strstr(text, ".safetensors") && access(text, F_OK) != 0;
}

static int imagine_model(struct plan *plan, const struct workload *work,
                         const struct measured *measured)
{
    struct subject_moe moe;
    char error[512];
    int r = plan->options.moe[0] ? options_moe(&plan->options, &moe, error, sizeof(error))
                                 : options_size(plan->options.paths[0], &moe, error, sizeof(error));

    if (r)
        return complain(STATUS_USAGE, "%s", error);
    plan->arch = &plan->imagined;
    return subject_imagine(&plan->subject, &moe, &plan->imagined, work, measured)
               ? complain_memory()
               : 0;
}

static int take_pins(struct plan *plan)
{
    const struct texts *pins = &plan->options.pins;
    char error[1024];
    int r = 0;

    for (size_t i = 0; i < pins->n && !r; i++) {
        plan->pins[i] = strdup(pins->list[i]);
        r = plan->pins[i] ? pin_take(&plan->subject, plan->pins[i], error, sizeof(error)) : -ENOMEM;
    }
    return r == -ENOMEM ? complain_memory() : r ? complain(STATUS_USAGE, "%s", error) : 0;
}

static int take_subject(struct plan *plan)
{
    struct workload work;
    struct measured measured;
    char error[512];

    if (options_workload(&plan->options, &work, error, sizeof(error)) != 0 ||
        options_measured(&plan->options, &measured, error, sizeof(error)) != 0)
        return complain(STATUS_USAGE, "%s", error);
    plan->given.subject = &plan->subject;
    if (plan->options.moe[0] && plan->options.n_paths)
        return complain(STATUS_USAGE, "--moe is for models without a file: %s or %s?",
                        plan->options.paths[0], plan->options.moe[0]);
    return plan->options.moe[0] || is_size(&plan->options) ? imagine_model(plan, &work, &measured)
                                                           : open_model(plan, &work, &measured);
}

static int finish(int r)
{
    if (!r && fflush(stdout) == 0)
        return 0;
    return complain(STATUS_ENVIRONMENT, "cannot write the report: %s", strerror(r ? -r : errno));
}

static int verdict(const struct plan *plan)
{
    if (!plan->given.machine.has_card)
        return STATUS_FITS;
    return strategies_taken(&plan->strategies) ? STATUS_FITS : STATUS_DOES_NOT_FIT;
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
static int check_strategy(struct plan *plan)
{
    char names[512] = "";
    size_t used = 0;

    if (!plan->given.machine.has_card || !plan->given.asked || plan->strategies.asked)
        return 0;
    for (size_t i = 0; i < plan->strategies.n && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
                                 plan->strategies.list[i].name);
    return complain(STATUS_USAGE, "--strategy %s is nothing for this model; what is: %s",
                    plan->options.strategy, names);
}

/* Why the library cannot be told to go the way that was asked for; NULL when it can. */
static const char *why_no_plan(const struct plan *plan)
{
    const struct strategy_result *asked = plan->strategies.asked;

    if (plan->without)
        return "none is the program as it is, without the library, and no plan";
    if (asked && asked->kind == STRATEGY_ENGINE)
        return "this is what the program does by itself";
    if (asked && asked->kind == STRATEGY_ADVICE)
        return "this needs another file, or is the program's to do";
    return NULL;
}

/* The plan for the library, where it was asked for. */
static int write_plan(struct plan *plan)
{
    const char *path = plan->options.output;
    const struct strategy_result *asked = plan->strategies.asked;
    const struct strategy_result *way =
        asked ? strategies_taken(&plan->strategies) : draft_choose(&plan->strategies);
    const struct input *model = inputs_find(&plan->inputs, INPUT_MODEL);
    struct planfile *draft;
    char error[1024], lack[160];
    int r;

    if (!path)
        return 0;
    if (!plan->given.machine.has_card)
        return complain(STATUS_ENVIRONMENT, "%s; say what to plan for with --gpu or --vram",
                        plan->given.machine.why_not);
    if (why_no_plan(plan))
        return complain(STATUS_USAGE, "%s is not written: %s", path, why_no_plan(plan));
    if (!way && plan->subject.n_pins && !asked)
        asked = strategies_nearest(&plan->strategies);
    if (!way)
        return complain(STATUS_DOES_NOT_FIT, "%s is not written: %s", path,
                        asked ? lack_text(asked, lack) : "nothing fits");
    r = draft_make(&plan->given, way, model ? model->name : (struct text){NULL, 0},
                   &plan->functions, error, sizeof(error), &draft);
    if (r)
        return complain(r == -ENOMEM ? STATUS_ENVIRONMENT : STATUS_BAD_MODEL, "%s", error);
    r = draft_write(draft, path);
    planfile_free(draft);
    return r ? complain(STATUS_ENVIRONMENT, "%s: %s", path, strerror(-r)) : 0;
}

/* Whether what does not fit as it is pinned does otherwise. */
static bool fits_unpinned(struct plan *plan)
{
    struct strategies all;
    size_t n_pins = plan->subject.n_pins;

    if (!n_pins || !plan->given.machine.has_card || strategies_taken(&plan->strategies))
        return false;
    plan->subject.n_pins = 0;
    for (size_t i = 0; i < plan->subject.n_pieces; i++)
        plan->subject.pieces[i].pin = PLACE_ANYWHERE;
    if (strategies_judge(&plan->given, &all) != 0)
        all.recommended = NULL;
    plan->subject.n_pins = n_pins;
    return all.recommended != NULL;
}

/* Places the pieces, to be shown, as a plan would have them. */
static const struct strategy_result *place(struct plan *plan)
{
    const struct strategy_result *way = strategies_taken(&plan->strategies);

    if (!plan->options.explain || !way || way->kind != STRATEGY_OURS)
        return NULL;
    way = plan->strategies.asked ? way : draft_choose(&plan->strategies);
    return way && stay_choose(&plan->given, way->name) == 0 ? way : NULL;
}

static int answer(struct plan *plan)
{
    struct answer answer = {
        .path = plan->options.n_paths ? plan->options.paths[0] : NULL,
        .model = plan->inputs.n ? &plan->model : NULL,
        .parts = plan->parts,
        .n_parts = plan->n_parts,
        .arch = plan->arch,
        .given = &plan->given,
        .strategies = &plan->strategies,
        .request = &plan->options.machine,
        .plan = plan->options.output,
        .without = plan->without,
        .fits_unpinned = fits_unpinned(plan),
        .compare = plan->options.compare,
        .explain = plan->options.explain,
        .placed = place(plan),
    };
    int r = 0;

    if (plan->options.json)
        r = answer_print_json(&answer, stdout);
    else
        answer_print(&answer, stdout);
    r = finish(r);
    return r ? r : verdict(plan);
}

/* One line. */
static int answer_check(struct plan *plan)
{
    const struct strategy_result *best = strategies_taken(&plan->strategies);
    const struct strategy_result *asked = plan->strategies.asked;
    char lack[160];

    if (plan->subject.n_pins && !asked)
        asked = strategies_nearest(&plan->strategies);
    if (plan->given.machine.without && !plan->options.json) {
        puts("yes: without a card there is nothing to do");
        return finish(0) ? STATUS_ENVIRONMENT : STATUS_FITS;
    }
    if (!plan->given.machine.has_card)
        return complain(STATUS_ENVIRONMENT, "%s; say what to check for with --gpu or --vram",
                        plan->given.machine.why_not);
    if (plan->options.json)
        return answer(plan);
    if (best)
        printf("yes: %s\n", plan->without ? PRESET_NONE : best->name);
    else if (asked)
        printf("no: %s\n", lack_text(asked, lack));
    else
        puts("no: nothing fits; --compare says what is missing");
    return finish(0) ? STATUS_ENVIRONMENT : verdict(plan);
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

static int answer_max(struct plan *plan)
{
    const struct most *most = NULL;
    uint64_t value = 0;

    for (size_t i = 0; i < ARRAY_SIZE(mosts); i++)
        most = strcmp(plan->options.max, mosts[i].name) == 0 ? &mosts[i] : most;
    if (!most)
        return complain(STATUS_USAGE, "--max \"%.80s\" is neither ctx, batch nor resolution",
                        plan->options.max);
    if (most->of_tokens && !counts_tokens(&plan->subject))
        return complain(STATUS_USAGE, "--max %s: what this model keeps of a token is not known",
                        plan->options.max);
    if (most->of_images && plan->subject.kind != SUBJECT_IMAGE)
        return complain(STATUS_USAGE, "--max resolution is for models that make images");
    if (!plan->given.machine.has_card)
        return complain(STATUS_ENVIRONMENT, "%s; say what to look for with --gpu or --vram",
                        plan->given.machine.why_not);
    if (most->find(&plan->given, &value))
        return complain_memory();
    printf(most->of_images ? "%" PRIu64 "x%" PRIu64 "\n" : "%" PRIu64 "\n", value, value);
    if (finish(0))
        return STATUS_ENVIRONMENT;
    return value ? STATUS_FITS : STATUS_DOES_NOT_FIT;
}

/* A figure of a run, unless the person gave one. */
static void take_figure(struct plan *plan, int i, uint64_t bytes, const char **option)
{
    if (*option || !bytes)
        return;
    snprintf(plan->figures[i], sizeof(plan->figures[i]), "%" PRIu64, bytes);
    *option = plan->figures[i];
}

static int take_report(struct plan *plan)
{
    struct account account;
    char error[1024];

    if (!plan->options.report)
        return 0;
    if (account_load(plan->options.report, error, sizeof(error), &account))
        return complain(STATUS_BAD_MODEL, "%s", error);
    take_figure(plan, 0, account.terms[ACCOUNT_CACHE].actual, &plan->options.cache);
    take_figure(plan, 1, account.terms[ACCOUNT_BUFFERS].actual, &plan->options.buffers);
    take_figure(plan, 2, account.terms[ACCOUNT_UNACCOUNTED].actual, &plan->options.machine.driver);
    plan->functions = account.functions;
    account.functions = (struct roll){.n = 0};
    account_fini(&account);
    return 0;
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

static int run(struct plan *plan)
{
    int status = take_report(plan);

    status = status ? status : look_at_machine(plan);

    status = status ? status : take_subject(plan);
    status = status ? status : take_pins(plan);
    if (status)
        return status;
    idle_print(&plan->options, &plan->subject, stderr);
    if (plan->given.machine.has_card && strategies_judge(&plan->given, &plan->strategies) != 0)
        return complain_memory();
    status = check_strategy(plan);
    status = status ? status : write_plan(plan);
    if (status)
        return status;
    if (plan->options.max)
        return answer_max(plan);
    return plan->options.check ? answer_check(plan) : answer(plan);
}

int main(int argc, char **argv)
{
    static struct plan plan;
    char error[1024];
    int status;

    /* So that a plan that grows too long is an error like others, and nothing of it stays. */
    (void)signal(SIGXFSZ, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return tell_outcome(argv + 2);
    if (options_parse(argc ? argv + 1 : argv, &plan.options, error, sizeof(error)) != 0 ||
        idle_conflict(&plan.options, error, sizeof(error)) != 0)
        return complain(STATUS_USAGE, "%s", error);
    if (plan.options.help) {
        options_print_help();
        return finish(0) ? STATUS_ENVIRONMENT : STATUS_FITS;
    }
    if (plan.options.version) {
        puts("vramshim-plan " VRAMSHIM_VERSION);
        return finish(0) ? STATUS_ENVIRONMENT : STATUS_FITS;
    }
    status = run(&plan);
    for (size_t i = 0; i < plan.options.pins.n; i++)
        free(plan.pins[i]);
    subject_fini(&plan.subject);
    inputs_fini(&plan.inputs);
    roll_fini(&plan.functions);
    return status;
}

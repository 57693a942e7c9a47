/* SPDX-License-Identifier: MIT */
#include "planner/question.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "planner/complain.h"
#include "planner/message.h"
#include "planner/pin.h"
#include "planner/preset.h"
#include "runtime/account.h"
#include "runtime/config.h"
#include "runtime/nearest.h"
#include "runtime/util.h"

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

static int find_strategy(struct question *question)
{
    const char *name = question->options.strategy;
    char names[512];

    if (!name)
        return 0;
    question->given.asked = preset_strategy(name);
    if (!question->given.asked)
        return complain(STATUS_USAGE, "--strategy \"%.80s\": did you mean %s? There are %s", name,
                        preset_nearest(name), preset_names(names, sizeof(names)));
    question->without = strcmp(question->given.asked, PRESET_NONE) == 0;
    if (question->without && question->options.pins.n)
        return complain(STATUS_USAGE,
                        "--strategy none: without the library nothing is pinned; leave "
                        "--pin out");
    if (question->without)
        question->given.asked = "resident";
    return 0;
}

static int take_headroom(struct question *question)
{
    const char *headroom = question->options.headroom;
    int n;

    if (!headroom)
        return 0;
    if (question->options.machine.vram)
        return complain(STATUS_USAGE, "--headroom and --vram both say how much of the card may be "
                                      "used; leave one");
    n = snprintf(question->headroom, sizeof(question->headroom), "-%s", headroom);
    if (!isdigit((unsigned char)*headroom) || (size_t)n >= sizeof(question->headroom))
        return complain(STATUS_USAGE, "--headroom \"%s\": give a size such as 1GiB or 15%%",
                        headroom);
    question->options.machine.vram = question->headroom;
    return 0;
}

static int look_at_machine(struct question *question)
{
    char error[512];
    int status = take_headroom(question);

    if (status)
        return status;
    if (machine_look(&question->options.machine, &question->given.machine, error, sizeof(error)) !=
        0)
        return complain(STATUS_USAGE, "%s", error);
    question->given.chunk = machine_settings()->chunk;
    question->given.small = machine_settings()->small;
    question->given.apart = question->options.apart;
    question->given.no_quantize = question->options.no_quantize;
    status = find_strategy(question);
    return status ? status : find_engine(question->options.program, &question->given.engine);
}

/* Where a line does not say what to do, there are two things that help. */
static int complain_of(int r, const struct message *message)
{
    bool advised = r != -EINVAL || strchr(message->text, ';') || strchr(message->text, '?');

    return complain(r == -ENOMEM ? STATUS_ENVIRONMENT : STATUS_BAD_MODEL, "%s%s", message->text,
                    advised ? "" : "; get it again, or convert it again");
}

/* Opens what an option names as one thing. */
static int open_as(struct question *question, const char *path, enum input_role role)
{
    size_t before = question->inputs.n;
    struct message message;
    int r = path ? inputs_open(&question->inputs, path, &message) : 0;

    if (r)
        return complain_of(r, &message);
    for (size_t i = before; i < question->inputs.n; i++)
        question->inputs.list[i]->role = role;
    return 0;
}

static int open_inputs(struct question *question)
{
    const struct options *options = &question->options;
    struct message message;
    int status;

    for (size_t i = 0; i < options->n_paths; i++) {
        int r = inputs_open(&question->inputs, options->paths[i], &message);

        if (r)
            return complain_of(r, &message);
    }
    if (inputs_sort(&question->inputs) != 0)
        return complain(STATUS_USAGE, "%s: this goes with a model; name the model too",
                        options->paths[0]);
    status = open_as(question, options->encoder, INPUT_ENCODER);
    return status ? status : open_as(question, options->decoder, INPUT_DECODER);
}

static bool is_phase(const struct input *input)
{
    return input->role == INPUT_ENCODER || input->role == INPUT_DECODER;
}

/* Those of the main phase before the others. */
static int add_parts(struct question *question, bool phases)
{
    for (size_t i = 0; i < question->inputs.n; i++) {
        const struct input *input = question->inputs.list[i];
        struct model *part = &question->parts[question->n_parts];

        if (input->role == INPUT_MODEL || is_phase(input) != phases)
            continue;
        if (phases && question->subject.kind != SUBJECT_IMAGE)
            return complain(STATUS_USAGE, "%s: only image models have an encoder and a decoder",
                            input->path);
        model_init(part, input);
        question->n_parts++;
        if (subject_add(&question->subject, part))
            return complain_memory();
    }
    return 0;
}

/* A report of another model tells of the program and the driver, not of caches and buffers. */
static struct measured measured_of(const struct question *question, const struct input *model,
                                   const struct measured *measured)
{
    struct measured out = *measured;

    if (!question->reported || text_equal(model->name, question->reported))
        return out;
    fprintf(stderr, "vramshim-plan: %s is of another model: its cache and buffers are not used\n",
            question->options.report);
    if (question->options.cache == question->figures[0])
        out.cache = 0;
    if (question->options.buffers == question->figures[1])
        out.compute = 0;
    return out;
}

static int open_model(struct question *question, const struct workload *work,
                      const struct measured *measured)
{
    int status = open_inputs(question);
    const struct input *input;
    struct measured own;

    if (status)
        return status;
    input = inputs_find(&question->inputs, INPUT_MODEL);
    model_init(&question->model, input);
    question->arch = &input->arch;
    own = measured_of(question, input, measured);
    if (subject_init(&question->subject, &question->model, question->arch, work, &own))
        return complain_memory();
    status = add_parts(question, false);
    return status ? status : add_parts(question, true);
}

/* A size in place of a file. */
static bool is_size(const struct options *options)
{
    const char *text = options->n_paths ? options->paths[0] : "";

    return options->n_paths == 1 && isdigit((unsigned char)*text) && !strchr(text, '/') &&
           !strstr(text, ".gguf") && !strstr(text, ".safetensors") && access(text, F_OK) != 0;
}

static int imagine_model(struct question *question, const struct workload *work,
                         const struct measured *measured)
{
    struct subject_moe moe;
    char error[512];
    int r = question->options.moe[0]
                ? options_moe(&question->options, &moe, error, sizeof(error))
                : options_size(question->options.paths[0], &moe, error, sizeof(error));

    if (r)
        return complain(STATUS_USAGE, "%s", error);
    question->arch = &question->imagined;
    return subject_imagine(&question->subject, &moe, &question->imagined, work, measured)
               ? complain_memory()
               : 0;
}

static int take_pins(struct question *question)
{
    const struct texts *pins = &question->options.pins;
    char error[1024];
    int r = 0;

    for (size_t i = 0; i < pins->n && !r; i++) {
        question->pins[i] = strdup(pins->list[i]);
        r = question->pins[i]
                ? pin_take(&question->subject, question->pins[i], error, sizeof(error))
                : -ENOMEM;
    }
    return r == -ENOMEM ? complain_memory() : r ? complain(STATUS_USAGE, "%s", error) : 0;
}

static int take_subject(struct question *question)
{
    struct workload work;
    struct measured measured;
    char error[512];

    if (options_workload(&question->options, &work, error, sizeof(error)) != 0 ||
        options_measured(&question->options, &measured, error, sizeof(error)) != 0)
        return complain(STATUS_USAGE, "%s", error);
    question->given.subject = &question->subject;
    if (question->options.moe[0] && question->options.n_paths)
        return complain(STATUS_USAGE, "--moe is for models without a file: %s or %s?",
                        question->options.paths[0], question->options.moe[0]);
    return question->options.moe[0] || is_size(&question->options)
               ? imagine_model(question, &work, &measured)
               : open_model(question, &work, &measured);
}

/* A figure of a run, unless the person gave one. */
static void take_figure(struct question *question, int i, uint64_t bytes, const char **option)
{
    if (*option || !bytes)
        return;
    snprintf(question->figures[i], sizeof(question->figures[i]), "%" PRIu64, bytes);
    *option = question->figures[i];
}

static int take_report(struct question *question)
{
    struct account account;
    char error[1024];

    if (!question->options.report)
        return 0;
    if (account_load(question->options.report, error, sizeof(error), &account))
        return complain(STATUS_BAD_MODEL, "%s", error);
    take_figure(question, 0, account.terms[ACCOUNT_CACHE].actual, &question->options.cache);
    take_figure(question, 1, account.terms[ACCOUNT_BUFFERS].actual, &question->options.buffers);
    take_figure(question, 2, account.terms[ACCOUNT_UNACCOUNTED].actual,
                &question->options.machine.driver);
    question->functions = account.functions;
    account.functions = (struct roll){.n = 0};
    question->reported = account.model;
    account.model = NULL;
    account_fini(&account);
    return 0;
}

int question_take(struct question *question)
{
    int status = take_report(question);

    status = status ? status : look_at_machine(question);
    status = status ? status : take_subject(question);
    return status ? status : take_pins(question);
}

void question_fini(struct question *question)
{
    for (size_t i = 0; i < question->options.pins.n; i++)
        free(question->pins[i]);
    subject_fini(&question->subject);
    inputs_fini(&question->inputs);
    roll_fini(&question->functions);
    free(question->reported);
}

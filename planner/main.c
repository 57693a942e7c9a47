/* SPDX-License-Identifier: MIT */
/*
 * vramshim-plan: whether a model runs, where its bytes would lie, how fast, and with which flags.
 *
 * Exit status: 0 it runs, or no budget is known; 1 it does not; 2 usage; 3 no card where one is
 * needed, or the answer could not be written; 4 the model file is bad or is one part of several.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "planner/answer.h"
#include "planner/arch_gguf.h"
#include "planner/change.h"
#include "planner/options.h"
#include "runtime/config.h"
#include "runtime/nearest.h"
#include "runtime/util.h"

enum status {
    STATUS_FITS = 0,
    STATUS_DOES_NOT_FIT = 1,
    STATUS_USAGE = 2,
    STATUS_ENVIRONMENT = 3,
    STATUS_BAD_MODEL = 4,
};

/* All that is known, and who owns what of it. */
struct plan {
    struct options options;
    struct gguf *gguf, *encoder, *decoder;
    struct model model, encoder_model, decoder_model;
    struct arch arch;
    struct subject subject;
    struct strategy_case given;
    struct strategies strategies;
};

static int complain(enum status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int complain(enum status status, const char *format, ...)
{
    char line[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    /* A file's name must not drive the terminal either. */
    for (char *at = line; *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    fprintf(stderr, "vramshim-plan: %s\n", line);
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
    return complain(STATUS_USAGE, "--for \"%s\": nothing is known of it; did you mean %s?", name,
                    nearest_choice(name, names, n));
}

static int look_at_machine(struct plan *plan)
{
    struct config config;
    char error[512];

    if (machine_look(&plan->options.machine, &plan->given.machine, error, sizeof(error)) != 0)
        return complain(STATUS_USAGE, "%s", error);
    config_load(&config, environ);
    plan->given.chunk = config.chunk;
    plan->given.no_quantize = plan->options.no_quantize;
    return find_engine(plan->options.program, &plan->given.engine);
}

/* A part with a file of its own; without one there is none. */
static int open_part(struct plan *plan, const char *path, bool is_decoder, struct gguf **gguf,
                     struct model *model)
{
    char error[1024];
    int r;

    if (!path)
        return 0;
    if (plan->subject.kind != SUBJECT_IMAGE)
        return complain(STATUS_USAGE, "%s: only image models have an encoder and a decoder", path);
    r = gguf_open(path, error, sizeof(error), gguf);
    if (r)
        return complain(r == -ENOMEM ? STATUS_ENVIRONMENT : STATUS_BAD_MODEL, "%s", error);
    model_init(model, *gguf);
    return subject_add(&plan->subject, model, is_decoder) ? complain_memory() : 0;
}

static int open_parts(struct plan *plan)
{
    int status =
        open_part(plan, plan->options.encoder, false, &plan->encoder, &plan->encoder_model);

    return status
               ? status
               : open_part(plan, plan->options.decoder, true, &plan->decoder, &plan->decoder_model);
}

static int open_model(struct plan *plan, const struct workload *work,
                      const struct measured *measured)
{
    char error[1024];
    int r = gguf_open(plan->options.path, error, sizeof(error), &plan->gguf);

    if (r)
        return complain(r == -ENOMEM ? STATUS_ENVIRONMENT : STATUS_BAD_MODEL, "%s", error);
    model_init(&plan->model, plan->gguf);
    arch_read_gguf(plan->gguf, &plan->arch);
    if (subject_init(&plan->subject, &plan->model, &plan->arch, work, measured))
        return complain_memory();
    return open_parts(plan);
}

static int imagine_model(struct plan *plan, const struct workload *work,
                         const struct measured *measured)
{
    struct subject_moe moe;
    char error[512];

    if (options_moe(&plan->options, &moe, error, sizeof(error)) != 0)
        return complain(STATUS_USAGE, "%s", error);
    return subject_imagine(&plan->subject, &moe, &plan->arch, work, measured) ? complain_memory()
                                                                              : 0;
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
    if (plan->options.moe[0] && plan->options.path)
        return complain(STATUS_USAGE, "--moe is for models without a file: %s or %s?",
                        plan->options.path, plan->options.moe[0]);
    return plan->options.moe[0] ? imagine_model(plan, &work, &measured)
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
    if (plan->gguf && plan->model.parts > 1)
        return complain(STATUS_BAD_MODEL,
                        "%s is one of several parts; join them first to see whether they fit",
                        plan->options.path);
    return plan->strategies.recommended ? STATUS_FITS : STATUS_DOES_NOT_FIT;
}

static int answer(struct plan *plan)
{
    struct answer answer = {
        .path = plan->options.path,
        .model = plan->gguf ? &plan->model : NULL,
        .arch = &plan->arch,
        .given = &plan->given,
        .strategies = &plan->strategies,
        .request = &plan->options.machine,
        .compare = plan->options.compare,
        .explain = plan->options.explain,
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
    const struct strategy_result *best = plan->strategies.recommended;

    if (!plan->given.machine.has_card)
        return complain(STATUS_ENVIRONMENT, "%s; say what to check for with --gpu or --vram",
                        plan->given.machine.why_not);
    if (best)
        printf("yes: %s\n", best->name);
    else
        puts("no: nothing fits; --compare says what is missing");
    return finish(0) ? STATUS_ENVIRONMENT : verdict(plan);
}

static int answer_max(struct plan *plan)
{
    bool context = strcmp(plan->options.max, "ctx") == 0;
    uint64_t most = 0;

    if (!context && strcmp(plan->options.max, "batch") != 0)
        return complain(STATUS_USAGE, "--max \"%s\" is neither ctx nor batch", plan->options.max);
    if (!plan->given.machine.has_card)
        return complain(STATUS_ENVIRONMENT, "%s; say what to look for with --gpu or --vram",
                        plan->given.machine.why_not);
    if (context ? change_max_context(&plan->given, &most) : change_max_batch(&plan->given, &most))
        return complain_memory();
    printf("%" PRIu64 "\n", most);
    if (finish(0))
        return STATUS_ENVIRONMENT;
    return most ? STATUS_FITS : STATUS_DOES_NOT_FIT;
}

static int run(struct plan *plan)
{
    int status = look_at_machine(plan);

    status = status ? status : take_subject(plan);
    if (status)
        return status;
    if (plan->given.machine.has_card && strategies_judge(&plan->given, &plan->strategies) != 0)
        return complain_memory();
    if (plan->options.max)
        return answer_max(plan);
    return plan->options.check ? answer_check(plan) : answer(plan);
}

int main(int argc, char **argv)
{
    static struct plan plan;
    char error[1024];
    int status;

    if (options_parse(argc ? argv + 1 : argv, &plan.options, error, sizeof(error)) != 0)
        return complain(STATUS_USAGE, "%s", error);
    if (plan.options.help) {
        options_print_help();
        return STATUS_FITS;
    }
    if (plan.options.version) {
        puts("vramshim-plan " VRAMSHIM_VERSION);
        return STATUS_FITS;
    }
    status = run(&plan);
    subject_fini(&plan.subject);
    gguf_free(plan.gguf);
    gguf_free(plan.encoder);
    gguf_free(plan.decoder);
    return status;
}

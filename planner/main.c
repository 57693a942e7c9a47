/* SPDX-License-Identifier: MIT */
/*
 * vramshim-plan: what a model file holds and whether its weights fit.
 *
 * Exit status: 0 the weights fit, or no budget was given; 1 they do not; 2 usage; 3 the report
 * could not be written; 4 the model file is bad or is one part of several.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "planner/report.h"
#include "runtime/config.h"
#include "runtime/host_memory.h"
#include "runtime/nearest.h"
#include "runtime/util.h"

enum status {
    STATUS_FITS = 0,
    STATUS_DOES_NOT_FIT = 1,
    STATUS_USAGE = 2,
    STATUS_ENVIRONMENT = 3,
    STATUS_BAD_MODEL = 4,
};

struct request {
    const char *path;
    const char *vram_text;
    const char *ram_text;
    bool json;
    bool help;
    bool version;
};

static const struct option {
    const char *name;
    size_t offset; /* in struct request */
    bool has_value;
} options[] = {
    {"--vram", offsetof(struct request, vram_text), true},
    {"--ram", offsetof(struct request, ram_text), true},
    {"--json", offsetof(struct request, json), false},
    {"--help", offsetof(struct request, help), false},
    {"--version", offsetof(struct request, version), false},
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

static int complain_of_option(const char *given)
{
    const char *names[ARRAY_SIZE(options)];

    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        names[i] = options[i].name;
    return complain(STATUS_USAGE, "no option is called %s; did you mean %s?", given,
                    nearest_choice(given, names, ARRAY_SIZE(names)));
}

static const struct option *find_option(const char *argument)
{
    size_t n = strcspn(argument, "=");

    if (strcmp(argument, "-h") == 0)
        return find_option("--help");
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (strlen(options[i].name) == n && memcmp(options[i].name, argument, n) == 0)
            return &options[i];
    return NULL;
}

/* Takes the option at `*at`, and its value, and moves `*at` behind them. */
static int take_option(char ***at, struct request *request)
{
    const char *argument = *(*at)++;
    const struct option *option = find_option(argument);
    const char *value = strchr(argument, '=');
    char *field;

    if (!option)
        return complain_of_option(argument);
    field = (char *)request + option->offset;
    if (!option->has_value) {
        if (value)
            return complain(STATUS_USAGE, "%s takes no value", option->name);
        *(bool *)field = true;
        return 0;
    }
    if (value)
        value++;
    else if (**at)
        value = *(*at)++;
    else
        return complain(STATUS_USAGE, "%s needs a size such as 8GiB", option->name);
    *(const char **)field = value;
    return 0;
}

static int parse_arguments(char **at, struct request *out)
{
    bool options_end = false;

    while (*at) {
        if (!options_end && strcmp(*at, "--") == 0) {
            options_end = true;
            at++;
        } else if (!options_end && (*at)[0] == '-' && (*at)[1]) {
            int status = take_option(&at, out);

            if (status)
                return status;
        } else if (out->path) {
            return complain(STATUS_USAGE, "one model at a time: %s or %s?", out->path, *at);
        } else {
            out->path = *at++;
        }
    }
    if (!out->path && !out->help && !out->version)
        return complain(STATUS_USAGE, "no model; usage: vramshim-plan MODEL.gguf [--vram SIZE]");
    return 0;
}

static int parse_budget(const char *option, const char *text, uint64_t *out)
{
    if (!text || config_parse_size(text, out))
        return 0;
    return complain(STATUS_USAGE,
                    "%s \"%s\" is no size such as 8GiB (a share would need a card to look at)",
                    option, text);
}

/* Without --ram the host tier is what the shim itself would take here and now. */
static uint64_t default_ram(void)
{
    uint64_t available = host_memory_available("");
    struct config config;

    config_load(&config, environ);
    return amount_resolve(config.ram, available, available);
}

static int print_report(struct request *request, struct report *report)
{
    int r = 0;

    if (request->json)
        r = report_print_json(report, stdout);
    else
        report_print(report, stdout);
    if (r || fflush(stdout) != 0)
        return complain(STATUS_ENVIRONMENT, "cannot write the report: %s",
                        strerror(r ? -r : errno));
    if (report->budget.has_vram && report->model->parts > 1)
        return complain(STATUS_BAD_MODEL,
                        "%s is one of several parts; join them first to see whether they fit",
                        report->path);
    return report->fit.verdict == FIT_NOT ? STATUS_DOES_NOT_FIT : STATUS_FITS;
}

static int plan(struct request *request, struct budget budget)
{
    struct report report = {.path = request->path,
                            .budget = budget,
                            .vram_text = request->vram_text,
                            .ram_text = request->ram_text};
    struct model model;
    struct gguf *gguf;
    char error[1024];
    int status;
    int r = gguf_open(request->path, error, sizeof(error), &gguf);

    if (r)
        return complain(r == -ENOMEM ? STATUS_ENVIRONMENT : STATUS_BAD_MODEL, "%s", error);
    model_init(&model, gguf);
    report.model = &model;
    if (model.parts == 1)
        report.fit = fit_judge(model.bytes, &budget);
    status = print_report(request, &report);
    gguf_free(gguf);
    return status;
}

static void print_help(void)
{
    puts("usage: vramshim-plan MODEL.gguf [--vram SIZE] [--ram SIZE] [--json]\n\n"
         "Shows what a model file holds and whether its weights fit.\n\n"
         "  --vram SIZE   device memory to use: 8GiB, 1.5G (GiB), 2GB (10^9)\n"
         "  --ram SIZE    pinned host memory to use; without it what the shim would take on this\n"
         "                machine: VRAMSHIM_RAM of what is available\n"
         "  --json        the same as JSON, sizes in bytes\n\n"
         "Exit status: 0 the weights fit (or no --vram), 1 they do not, 2 usage, 3 the report\n"
         "cannot be written, 4 the model file is bad.\n\n"
         "Only weights are counted. This version predicts no speed and writes no plan file.\n\n"
         "Examples:\n"
         "  vramshim-plan model.gguf --vram 8GiB\n"
         "  vramshim-plan model.gguf --vram 8GiB --ram 24GiB --json");
}

int main(int argc, char **argv)
{
    struct request request = {0};
    struct budget budget = {0};
    int status = parse_arguments(argc ? argv + 1 : argv, &request);

    if (!status && request.help) {
        print_help();
        return STATUS_FITS;
    }
    if (!status && request.version) {
        puts("vramshim-plan " VRAMSHIM_VERSION);
        return STATUS_FITS;
    }
    budget.has_vram = request.vram_text != NULL;
    if (!status)
        status = parse_budget("--vram", request.vram_text, &budget.vram);
    if (!status)
        status = parse_budget("--ram", request.ram_text, &budget.ram);
    if (status)
        return status;
    if (!request.ram_text)
        budget.ram = default_ram();
    return plan(&request, budget);
}

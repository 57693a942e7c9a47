/* SPDX-License-Identifier: MIT */
#include "planner/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "planner/message.h"
#include "runtime/config.h"
#include "runtime/nearest.h"
#include "runtime/util.h"

static const struct row {
    const char *name;
    size_t offset; /* in struct options */
    const char *value;
    bool is_list;
} rows[] = {
#define OPTION(field, name, value, help) {name, offsetof(struct options, field), value, false},
#define LIST(field, name, value, help)   {name, offsetof(struct options, field), value, true},
#include "planner/options.def"
};

static int no_such_option(const char *given, char *error, size_t size)
{
    const char *names[ARRAY_SIZE(rows)];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        names[i] = rows[i].name;
    return message_refuse(error, size, "no option is called %.80s; did you mean %s?", given,
                          nearest_choice(given, names, ARRAY_SIZE(names)));
}

static const struct row *find_row(const char *argument)
{
    size_t n = strcspn(argument, "=");

    if (strcmp(argument, "-h") == 0)
        return find_row("--help");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, argument, n) == 0)
            return &rows[i];
    return NULL;
}

/* How many values the row's has: words in its description. */
static size_t count_values(const struct row *row)
{
    size_t n = *row->value != '\0';

    for (const char *at = row->value; *at; at++)
        n += *at == ' ';
    return n;
}

/* Where another one of several has room; NULL: nowhere. */
static char *next_of(struct texts *texts)
{
    return texts->n < TEXTS_MAX ? (char *)&texts->list[texts->n++] : NULL;
}

/* Takes the option at `*at`, and its values, and moves `*at` behind them. */
static int take(char ***at, struct options *options, char *error, size_t size)
{
    const char *argument = *(*at)++;
    const struct row *row = find_row(argument);
    const char *value = strchr(argument, '=');
    char *field;

    if (!row)
        return no_such_option(argument, error, size);
    field = (char *)options + row->offset;
    if (!*row->value) {
        if (value)
            return message_refuse(error, size, "%s takes no value", row->name);
        *(bool *)field = true;
        return 0;
    }
    if (row->is_list)
        field = next_of((struct texts *)field);
    if (!field)
        return message_refuse(error, size, "%s is given more than %d times", row->name, TEXTS_MAX);
    for (size_t i = 0, n = count_values(row); i < n; i++) {
        if (!value && !**at)
            return message_refuse(error, size, "%s needs %s", row->name,
                                  strcmp(row->value, "SIZE") ? row->value : "a size such as 8GiB");
        ((const char **)field)[i] = value ? value + 1 : *(*at)++;
        value = NULL;
    }
    return 0;
}

static bool is_named(const struct options *options, const char *path)
{
    for (size_t i = 0; i < options->n_paths; i++)
        if (strcmp(options->paths[i], path) == 0)
            return true;
    return false;
}

int options_parse(char **at, struct options *out, char *error, size_t size)
{
    bool end = false;

    memset(out, 0, sizeof(*out));
    while (*at) {
        if (!end && strcmp(*at, "--") == 0) {
            end = true;
            at++;
        } else if (!end && (*at)[0] == '-' && (*at)[1]) {
            int r = take(&at, out, error, size);

            if (r)
                return r;
        } else if (out->n_paths == INPUTS_MAX) {
            return message_refuse(error, size, "there are more than %d models and parts",
                                  INPUTS_MAX);
        } else if (!**at) {
            return message_refuse(error, size,
                                  "a model without a name; is a variable of the shell empty?");
        } else if (is_named(out, *at)) {
            return message_refuse(error, size, "%s is named twice", *at);
        } else {
            out->paths[out->n_paths++] = *at++;
        }
    }
    if (!out->n_paths && !out->moe[0] && !out->help && !out->version)
        return message_refuse(error, size, "no model; usage: vramshim-plan MODEL [--vram SIZE]");
    return 0;
}

/* A whole number from 1 to `most`. */
static int take_number(const char *name, const char *text, uint64_t most, uint64_t *out,
                       char *error, size_t size)
{
    char *end;
    unsigned long long value;

    if (!text)
        return 0;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value == 0 || value > most)
        return message_refuse(error, size, "%s \"%.80s\" is no number from 1 to %" PRIu64, name,
                              text, most);
    *out = value;
    return 0;
}

static int take_u32(const char *name, const char *text, uint32_t most, uint32_t *out, char *error,
                    size_t size)
{
    uint64_t value = *out;
    int r = take_number(name, text, most, &value, error, size);

    *out = (uint32_t)value;
    return r;
}

static int take_kv(const char *text, struct workload *out, char *error, size_t size)
{
    const char *names[16];
    size_t n = 0;

    if (!text)
        return 0;
    out->keys = out->values = kv_type_find(text);
    if (out->keys)
        return 0;
    for (; n < ARRAY_SIZE(names) && kv_type_at(n); n++)
        names[n] = kv_type_at(n)->name;
    return message_refuse(error, size, "--kv \"%.80s\" is no type of a cache; did you mean %s?",
                          text, nearest_choice(text, names, n));
}

static int take_image(const char *text, struct workload *out, char *error, size_t size)
{
    unsigned int width, height;
    char rest;

    if (!text)
        return 0;
    if (sscanf(text, "%6ux%6u%c", &width, &height, &rest) != 2 || !width || !height ||
        width > 65536 || height > 65536)
        return message_refuse(error, size, "--image \"%.80s\" is no size such as 1024x768", text);
    out->width = width;
    out->height = height;
    return 0;
}

int options_workload(const struct options *options, struct workload *out, char *error, size_t size)
{
    int r;

    *out = (struct workload)WORKLOAD_DEFAULT;
    out->split = options->split;
    r = take_number("--ctx", options->ctx, (uint64_t)1 << 32, &out->context, error, size);
    r = r ? r : take_u32("--batch", options->batch, 65536, &out->batch, error, size);
    r = r ? r : take_u32("--ubatch", options->ubatch, 65536, &out->micro, error, size);
    r = r ? r : take_u32("--steps", options->steps, 65536, &out->steps, error, size);
    r = r ? r : take_kv(options->kv, out, error, size);
    r = r ? r : take_image(options->image, out, error, size);
    return r;
}

static int take_size(const char *name, const char *text, uint64_t *out, char *error, size_t size)
{
    if (!text || config_parse_size(text, out))
        return 0;
    return message_refuse(error, size, "%s \"%.80s\" is no size such as 8GiB", name, text);
}

static bool parse_positive(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return *text >= '0' && *text <= '9' && !*end && *out > 0 && *out < 1e18;
}

int options_measured(const struct options *options, struct measured *out, char *error, size_t size)
{
    int r;

    memset(out, 0, sizeof(*out));
    r = take_size("--cache", options->cache, &out->cache, error, size);
    r = r ? r : take_size("--buffers", options->buffers, &out->compute, error, size);
    if (!r && options->pass && !parse_positive(options->pass, &out->pass))
        r = message_refuse(error, size, "--pass \"%.80s\" is no number of seconds", options->pass);
    return r;
}

/* The number in the first `n` characters, which end in B or M. */
static bool parse_count(const char *text, size_t n, double *out)
{
    char digits[32];
    double unit = n && text[n - 1] == 'B'   ? 1e9
                  : n && text[n - 1] == 'M' ? 1e6
                  : n && text[n - 1] == 'T' ? 1e12
                                            : 0;

    if (unit <= 0 || n >= sizeof(digits))
        return false;
    snprintf(digits, sizeof(digits), "%.*s", (int)n - 1, text);
    if (!parse_positive(digits, out) || *out * unit > 1e15)
        return false;
    *out *= unit;
    return true;
}

/* Bits that a parameter has in such a file. */
static bool find_bits(const char *name, double *out)
{
    static const struct {
        const char *name;
        double bits;
    } types[] = {
        {"fp32", 32}, {"fp16", 16}, {"fp8", 8},    {"int8", 8},
        {"nf4", 4.5}, {"fp4", 4.5}, {"int4", 4.5},
#define TYPE(id, name, block_elements, block_bytes) {#name, 8.0 * block_bytes / block_elements},
#include "planner/gguf_types.def"
    };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcasecmp(types[i].name, name) == 0) {
            *out = types[i].bits;
            return true;
        }
    return false;
}

int options_size(const char *text, struct subject_moe *out, char *error, size_t size)
{
    const char *params = strstr(text, "params@");
    uint64_t bytes;

    *out = (struct subject_moe){.bits = 16};
    if (params) {
        if (!parse_count(text, (size_t)(params - text), &out->parameters))
            return message_refuse(
                error, size, "\"%.80s\" is no number of parameters such as 120Bparams@bf16", text);
        if (!find_bits(params + 7, &out->bits))
            return message_refuse(
                error, size, "\"%.80s\": \"%.80s\" is no type of weights such as bf16, fp8 or q4_k",
                text, params + 7);
    } else if (strspn(text, "0123456789.") == strlen(text)) {
        return message_refuse(
            error, size,
            "there is no file \"%.80s\", and as a size it lacks its unit: %sGB of weights, "
            "or %sBparams@bf16?",
            text, text, text);
    } else if (strpbrk(text, "KMGTPkmgtp") && config_parse_size(text, &bytes) && bytes &&
               bytes < 1ull << 56) {
        out->parameters = (double)bytes / 2;
        out->weighed = true;
    } else {
        return message_refuse(
            error, size,
            "there is no file \"%.80s\", and it is no size such as 40GB or 40Bparams@bf16", text);
    }
    out->active = out->parameters;
    return 0;
}

/* "120B", "350M": parameters are counted, not weighed, and a bare number could be either. */
static int take_parameters(const char *text, double *out, char *error, size_t size)
{
    if (parse_count(text, strlen(text), out))
        return 0;
    return message_refuse(
        error, size,
        "--moe \"%.80s\" is no number of parameters such as 120B (of bytes? parameters "
        "are counted, and --bits says how large each is)",
        text);
}

int options_moe(const struct options *options, struct subject_moe *out, char *error, size_t size)
{
    int r;

    *out = (struct subject_moe){.bits = 16};
    r = take_parameters(options->moe[0], &out->parameters, error, size);
    r = r ? r : take_parameters(options->moe[1], &out->active, error, size);
    r = r ? r : take_u32("--moe", options->moe[2], 65536, &out->n_experts, error, size);
    r = r ? r : take_u32("--moe", options->moe[3], 65536, &out->n_used, error, size);
    if (!r && options->bits && (!parse_positive(options->bits, &out->bits) || out->bits > 64))
        r = message_refuse(error, size, "--bits \"%.80s\" is no number from 1 to 64",
                           options->bits);
    if (!r && (out->active >= out->parameters || out->n_used >= out->n_experts))
        r = message_refuse(
            error, size,
            "--moe: there are fewer active parameters than parameters, and experts used "
            "than experts");
    if (!r && (out->parameters - out->active) * out->n_experts >
                  out->parameters * (out->n_experts - out->n_used))
        r = message_refuse(
            error, size, "--moe: with %u of %u experts used, at least %.1fB are active",
            out->n_used, out->n_experts, out->parameters * out->n_used / out->n_experts / 1e9);
    return r;
}

static void print_row(const char *name, const char *value, const char *help)
{
    char left[64];

    snprintf(left, sizeof(left), "%s %s", name, value);
    printf("  %-20s %s\n", left, help);
}

static void print_strategy(const char *name, const char *help)
{
    printf("  %-20s %s\n", name, help);
}

static void print_preset(const char *name, const char *strategy, const char *whose)
{
    printf("  %-20s %s of %s\n", name, *strategy ? strategy : "the program without the library, as",
           whose);
}

void options_print_help(void)
{
    puts("usage: vramshim-plan MODEL... [option...]\n"
         "       vramshim-plan report FILE\n\n"
         "Says whether a model will run, where each byte would lie, how fast, and what would make\n"
         "it better.\n\n"
         "Examples:\n"
         "  vramshim-plan model.gguf                  on this machine\n"
         "  vramshim-plan folder-of-a-model --vram 8GiB\n"
         "  vramshim-plan 70Bparams@q4_k --vram 8GiB\n"
         "  vramshim-plan model.gguf --gpu \"RTX 3060\" --ram 32GiB --link gen3x16 --compare\n"
         "  vramshim-plan model.gguf --vram 8GiB --for llama.cpp");
#define GROUP(title)                     puts("\n" title ":");
#define OPTION(field, name, value, help) print_row(name, value, help);
#include "planner/options.def"
    puts("\nStrategies, and what other programs call them:");
#define STRATEGY(name, kind, judge, number, quality, help) print_strategy(name, help);
#include "planner/strategies.def"
#define PRESET(name, strategy, whose) print_preset(name, strategy, whose);
#include "planner/presets.def"
    puts("\nExit status: 0 it runs (or no card is known), 1 it does not, 2 usage, 3 no card where "
         "one\n"
         "is needed, or the answer cannot be written, 4 the model file is bad, 5 (report) the "
         "prediction\n"
         "was missed.");
}

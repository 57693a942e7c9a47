/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/engine_table.h"
#include "planner/sign.h"
#include "runtime/util.h"

/* A value as the row wants it, or not. */
static void make_value(const char *wanted, bool right, char *out, size_t size)
{
    switch (*wanted) {
    case '=':
        snprintf(out, size, "%s%s", wanted + 1, right ? "" : "x");
        break;
    case '~':
        snprintf(out, size, "%s", right ? wanted + 1 : "-");
        break;
    case '<':
    case '>':
        snprintf(out, size, "%d", atoi(wanted + 1) + ((*wanted == '>') == right ? 1 : -1));
        break;
    default:
        snprintf(out, size, "something");
    }
}

static void read_clue(const struct clue *clue, const char *name, const char *value, bool joined,
                      struct signs *out)
{
    char command[] = "program", minus_m[] = "-m", script[] = "x.py", entry[256], copy[128],
         behind[128];
    char *entries[] = {entry, NULL};
    char *split[] = {command, copy, behind, NULL};
    char *together[] = {command, entry, NULL};
    char *alone[] = {copy, NULL};
    char *module[] = {command, minus_m, copy, NULL};

    memset(out, 0, sizeof(*out));
    snprintf(entry, sizeof(entry), "%s=%s", name, value);
    snprintf(copy, sizeof(copy), "%s", name);
    snprintf(behind, sizeof(behind), "%s", value);
    switch (clue->place) {
    case SIGN_ENVIRONMENT:
        signs_read_environment(entries, out);
        break;
    case SIGN_ARGUMENT:
        signs_read_command(joined ? together : split, out);
        break;
    case SIGN_COMMAND:
        signs_read_command(alone, out);
        break;
    case SIGN_MODULE:
        signs_read_command(module, out);
        break;
    case SIGN_PATH:
        snprintf(entry, sizeof(entry), "%s%s", name, script);
        signs_read_command(together, out);
        break;
    default:
        signs_read_text(clue->place, name, strlen(name), out);
    }
}

Test(sign, is_seen_where_each_clue_stands)
{
    for (size_t i = 0; clue_at(i); i++) {
        const struct clue *clue = clue_at(i);
        struct signs signs;
        char value[128];

        make_value(clue->value, true, value, sizeof(value));
        for (int joined = 0; joined < 2; joined++) {
            read_clue(clue, clue->name, value, joined, &signs);
            cr_expect_not_null(signs.seen[clue->sign], "%s %s", clue->name, value);
        }
    }
}

Test(sign, is_not_seen_with_another_value_or_another_name)
{
    for (size_t i = 0; clue_at(i); i++) {
        const struct clue *clue = clue_at(i);
        char name[128], value[128];
        struct signs signs;

        make_value(clue->value, false, value, sizeof(value));
        if (*clue->value) {
            read_clue(clue, clue->name, value, false, &signs);
            cr_expect_null(signs.seen[clue->sign], "%s %s", clue->name, value);
        }
        make_value(clue->value, true, value, sizeof(value));
        snprintf(name, sizeof(name), "%.*s~", (int)strlen(clue->name) - 1, clue->name);
        read_clue(clue, name, value, false, &signs);
        cr_expect_null(signs.seen[clue->sign], "%s", name);
    }
}

Test(sign, has_a_clue_for_each)
{
    bool has[SIGN_COUNT] = {false};

    for (size_t i = 0; clue_at(i); i++)
        has[clue_at(i)->sign] = true;
    for (size_t i = 0; i < SIGN_COUNT; i++)
        cr_expect(has[i], "sign %zu", i);
}

Test(sign, names_programs_that_there_are)
{
    static const char *const programs[] = {
#define PROGRAM(program, place, name) program,
#include "planner/signs.def"
    };

    for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
        cr_expect_not_null(engine_row_find(programs[i]), "%s", programs[i]);
}

/* A command in one text. */
static void read_words(const char *text, struct signs *out)
{
    char words[256], *rest = words, *arguments[16] = {NULL};
    size_t n = 0;

    snprintf(words, sizeof(words), "%s", text);
    while (n < ARRAY_SIZE(arguments) - 1 && (arguments[n] = strsep(&rest, " ")))
        n++;
    memset(out, 0, sizeof(*out));
    signs_read_command(arguments, out);
}

Test(sign, knows_programs_by_their_commands)
{
    static const struct {
        const char *command, *program;
    } cases[] = {
        {"./bin/llama-server -m model.gguf", "llama.cpp"},
        {"/usr/bin/ollama serve", "ollama"},
        {"sd-cli --diffusion-model flux.gguf", "sd.cpp"},
        {"vllm serve model", "vllm"},
        {"python3 -m vllm.entrypoints.openai.api_server", "vllm"},
        {"python3 -m sglang.launch_server", "sglang"},
        {"python3 ../ComfyUI/main.py --listen", "comfyui"},
        {"python3 main.py", NULL},
        {"sdformat model", NULL},
        {"./server -m vllm", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct signs signs;

        read_words(cases[i].command, &signs);
        if (cases[i].program)
            cr_expect_str_eq(signs.program ? signs.program : "none", cases[i].program);
        else
            cr_expect_null(signs.program, "%s", cases[i].command);
    }
}

Test(sign, is_told_by_where_it_was_first_seen)
{
    struct signs signs;
    char text[128];

    read_words("llama-cli -ngl 20 --n-gpu-layers 10", &signs);
    cr_assert(signs_have(&signs, SIGN_BIT(SOME_LAYERS)));
    cr_expect_eq(signs_count(&signs, SIGN_BIT(SOME_LAYERS) | SIGN_BIT(ALL_LAYERS)), 1);
    clue_describe(signs_clue(&signs, SIGN_BIT(SOME_LAYERS)), text, sizeof(text));
    cr_expect_str_eq(text, "the command has -ngl");
    cr_expect_null(signs_clue(&signs, SIGN_BIT(ALL_LAYERS)));
}

Test(sign, is_not_made_of_variables_set_to_nothing_or_of_options_without_a_value)
{
    char variable[] = "RAY_ADDRESS=", option[] = "-ngl", program[] = "llama-cli";
    char *environment[] = {variable, NULL};
    char *command[] = {program, option, NULL};
    struct signs signs = {0};

    signs_read_environment(environment, &signs);
    signs_read_command(command, &signs);
    cr_expect_not(signs_have(&signs, UINT64_MAX));
}

Test(sign, is_not_made_of_remarks_in_a_script)
{
    static const struct {
        const char *text;
        bool seen;
    } cases[] = {
        {"# pipe.enable_model_cpu_offload()\n", false},
        {"x = 1 # pipe.enable_model_cpu_offload()", false},
        {"# first\npipe.enable_model_cpu_offload()\n", true},
        {"# enable_model_cpu_offload\npipe.enable_model_cpu_offload()", true},
        {"pipe.enable_model_cpu_offload() # all", true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct signs signs = {0};

        signs_read_text(SIGN_SCRIPT, cases[i].text, strlen(cases[i].text), &signs);
        cr_expect_eq(signs_have(&signs, SIGN_BIT(MODEL_OFFLOAD)), cases[i].seen, "%s",
                     cases[i].text);
    }
}

/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "planner/engine_table.h"
#include "planner/trap.h"
#include "planner/warning.h"
#include "runtime/util.h"

#define S SIGN_BIT

/* A trap, facts by which it applies, and facts that are almost the same, by which it does not. */
struct trap_case {
    enum trap_id id;
    uint64_t signs;
    struct trap_facts facts;
    uint64_t other_signs;
    struct trap_facts other;
};

#define PLAN(...)                                                                                  \
    {                                                                                              \
        .planned = true, .library = true, __VA_ARGS__                                              \
    }
#define RUN(...)                                                                                   \
    {                                                                                              \
        .library = true, __VA_ARGS__                                                               \
    }

/* clang-format off */
static const struct trap_case cases[] = {
    {TRAP_KB01, S(MODEL_OFFLOAD) | S(SEQUENTIAL_OFFLOAD), {0},
                S(MODEL_OFFLOAD), {0}},
    {TRAP_KB02, S(OTHER_OFFLOAD), RUN(),
                S(OTHER_OFFLOAD), {0}},
    {TRAP_KB03, S(DEVICE_MAP), RUN(),
                S(DEVICE_MAP), {0}},
    {TRAP_KB03, 0, PLAN(.program = "transformers"),
                0, RUN(.program = "transformers")},
    {TRAP_KB04, S(FLOAT8) | S(MODEL_OFFLOAD), {0},
                S(FLOAT8), {0}},
    {TRAP_KB04, 0, {.own_offload = true, .program = "diffusers", .float8 = 0.5},
                0, PLAN(.program = "diffusers", .float8 = 0.5)},
    {TRAP_KB05, S(ATTENTION_SLICING) | S(SEQUENTIAL_OFFLOAD), {0},
                S(ATTENTION_SLICING) | S(MODEL_OFFLOAD), {0}},
    {TRAP_KB06, S(XDIT) | S(GROUP_OFFLOAD), {0},
                S(XDIT), RUN()},
    {TRAP_KB07, S(LORA), {0},
                S(LORA) | S(LORA_AT_RUNTIME), {0}},
    {TRAP_KB07, 0, PLAN(.program = "sd.cpp", .adapter = true),
                0, PLAN(.program = "llama.cpp", .adapter = true)},
    {TRAP_KB08, 0, PLAN(.program = "diffusers", .component = 12 * GIB, .device = 11 * GIB),
                0, PLAN(.program = "diffusers", .component = 11 * GIB, .device = 11 * GIB)},
    {TRAP_KB08, S(MODEL_OFFLOAD), {.component = 2, .device = 1},
                S(GROUP_OFFLOAD), {.component = 2, .device = 1}},
    {TRAP_KB09, S(EXPANDABLE), RUN(),
                S(EXPANDABLE), RUN(.program = "llama.cpp")},
    {TRAP_KB10, 0, PLAN(.program = "llama.cpp"),
                0, {.planned = true, .program = "llama.cpp"}},
    {TRAP_KB10, 0, RUN(.program = "ollama"),
                S(FIT_OFF), RUN(.program = "ollama")},
    {TRAP_KB10, S(SOME_LAYERS), RUN(.program = "llama.cpp"),
                S(ALL_LAYERS), RUN(.program = "llama.cpp")},
    {TRAP_KB10, S(FIT_ON), RUN(), 0, RUN()},
    {TRAP_KB11, S(CPU_EXPERTS), RUN(),
                S(CPU_EXPERTS), {0}},
    {TRAP_KB11, 0, PLAN(.program = "llama.cpp", .experts = true),
                0, PLAN(.program = "llama.cpp")},
    {TRAP_KB12, S(QUANTISED_CACHE), {0},
                S(QUANTISED_CACHE) | S(FLASH), {0}},
    {TRAP_KB12, 0, PLAN(.quantised_cache = true),
                0, PLAN(.quantised_cache = true, .program = "vllm")},
    {TRAP_KB13, S(QUANTISED_CACHE) | S(FLASH), {0},
                S(FLASH), {0}},
    {TRAP_KB13, 0, PLAN(.program = "llama.cpp", .quantised_cache = true),
                0, PLAN(.program = "llama.cpp")},
    {TRAP_KB14, S(MMAP), {.program = "sd.cpp"},
                S(MMAP), {.program = "llama.cpp"}},
    {TRAP_KB14, 0, {.program = "sd.cpp", .own_offload = true},
                0, PLAN(.program = "sd.cpp")},
    {TRAP_KB15, S(MLOCK), {.here = true, .lockable = MIB, .host = GIB},
                S(MLOCK), {.here = true, .lockable = UINT64_MAX, .host = GIB}},
    {TRAP_KB16, 0, {.here = true, .wsl = true, .host = GIB},
                0, {.here = true, .wsl = true}},
    {TRAP_KB17, 0, {.here = true, .available = GIB, .host = 2 * GIB},
                0, {.available = GIB, .host = 2 * GIB}},
    {TRAP_KB18, S(RAY), RUN(.program = "vllm"),
                0, RUN(.program = "vllm")},
    {TRAP_KB19, 0, {.musl = true}, 0, {.privileged = true}},
    {TRAP_KB20, 0, {.privileged = true}, 0, {.musl = true}},
    {TRAP_KB21, 0, {.is_static = true}, 0, {.musl = true}},
    {TRAP_KB22, S(PROFILER), RUN(), S(PROFILER), {0}},
    {TRAP_KB23, 0, {.divided = true}, S(INSTANCE), {0}},
    {TRAP_KB23, S(INSTANCE), {.here = true}, 0, {.here = true}},
    {TRAP_KB24, 0, {.unified = true}, 0, {.divided = true}},
    {TRAP_KB25, S(MPS), RUN(.here = true), S(MPS), RUN()},
    {TRAP_KB26, 0, RUN(.program = "vllm"),
                S(PHYSICAL), RUN(.program = "vllm")},
    {TRAP_KB27, 0, PLAN(.program = "llama.cpp", .tied = GIB),
                0, PLAN(.program = "vllm", .tied = GIB)},
    {TRAP_KB28, 0, {.here = true, .others = 3 * GIB},
                0, {.here = true, .others = GIB / 2}},
    {TRAP_KB29, 0, {.here = true, .slow_disk = true, .disk = GIB, .disk_rate = 3e9},
                0, {.here = true, .slow_disk = true, .disk_rate = 3e9}},
    {TRAP_KB29, 0, {.disk = GIB, .disk_rate = 0.2e9},
                0, {.disk = GIB, .disk_rate = 2e9}},
    {TRAP_KB30, 0, {.here = true, .through_cache = true, .disk = GIB, .disk_rate = 3e9},
                0, {.here = true, .through_cache = true}},
    {TRAP_KB31, 0, {.bf16 = 0.9, .capability = 75}, 0, {.bf16 = 0.9, .capability = 80}},
    {TRAP_KB31, 0, {.bf16 = 0.9, .capability = 70}, 0, {.bf16 = 0.9}},
    {TRAP_KB32, 0, {.float8 = 0.9, .capability = 86}, 0, {.float8 = 0.9, .capability = 89}},
    {TRAP_KB33, S(FLOAT16), RUN(.capability = 80), S(FLOAT16), RUN(.capability = 75)},
    {TRAP_KB34, S(CPU_PART), RUN(), S(CPU_PART), {0}},
    {TRAP_KB08, 0, PLAN(.program = "sd.cpp", .component = 2, .device = 1),
                0, PLAN(.program = "comfyui", .component = 2, .device = 1)},
    {TRAP_KB33, S(FLOAT16), PLAN(.capability = 86, .bf16 = 1), S(FLOAT16), PLAN(.capability = 86)},
};

/* With the program's own ways, some more may. */
static const struct trap_case possible[] = {
    {TRAP_KB01, 0, {.own_offload = true, .program = "diffusers"}, 0, PLAN(.program = "diffusers")},
    {TRAP_KB02, 0, PLAN(.program = "vllm"), 0, PLAN(.program = "llama.cpp")},
    {TRAP_KB05, 0, {.own_offload = true, .program = "diffusers"}, 0, PLAN(.program = "diffusers")},
    {TRAP_KB06, 0, {.own_offload = true, .program = "diffusers"}, 0, PLAN(.program = "diffusers")},
    {TRAP_KB15, 0, {.here = true, .program = "llama.cpp", .lockable = MIB, .host = GIB},
                0, {.program = "llama.cpp", .lockable = MIB, .host = GIB}},
    {TRAP_KB18, 0, PLAN(.program = "vllm"), 0, PLAN(.program = "comfyui")},
};
/* clang-format on */

static struct trap_facts facts_with(const struct trap_facts *facts, uint64_t signs)
{
    struct trap_facts all = *facts;

    for (size_t i = 0; clue_at(i); i++)
        if (signs >> clue_at(i)->sign & 1 && !all.signs.seen[clue_at(i)->sign])
            all.signs.seen[clue_at(i)->sign] = clue_at(i);
    return all;
}

Test(trap, applies_where_its_row_says_and_not_where_one_thing_is_otherwise)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct trap_case *c = &cases[i];
        struct trap_facts yes = facts_with(&c->facts, c->signs);
        struct trap_facts no = facts_with(&c->other, c->other_signs);

        cr_expect_eq(trap_judge(c->id, &yes), TRAP_APPLIES, "case %zu: %s", i, trap_at(c->id)->id);
        cr_expect_neq(trap_judge(c->id, &no), TRAP_APPLIES, "case %zu: %s", i, trap_at(c->id)->id);
    }
}

Test(trap, may_apply_where_a_program_is_used_as_many_use_it)
{
    for (size_t i = 0; i < ARRAY_SIZE(possible); i++) {
        const struct trap_case *c = &possible[i];

        cr_expect_eq(trap_judge(c->id, &c->facts), TRAP_POSSIBLE, "%s", trap_at(c->id)->id);
        cr_expect_eq(trap_judge(c->id, &c->other), TRAP_ABSENT, "%s", trap_at(c->id)->id);
    }
}

/* Words of a text, at most 15; the text is cut. */
static void split(char *text, char *words[16])
{
    size_t n = 0;

    memset(words, 0, 16 * sizeof(*words));
    while (n < 15 && *text && (words[n] = strsep(&text, " ")) && text)
        n++;
}

static void list_ids(const struct trap_facts *facts, char *out, size_t size)
{
    size_t n = 0;

    *out = '\0';
    for (enum trap_id id = 0; id < TRAP_COUNT; id++)
        if (trap_judge(id, facts) == TRAP_APPLIES)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? " " : "", trap_at(id)->id);
}

Test(trap, is_seen_in_the_environment_and_on_the_command_line)
{
    static const struct {
        const char *variable, *command, *ids;
    } examples[] = {
        {"A=b", "", ""},
        {"PYTORCH_CUDA_ALLOC_CONF=backend:native,expandable_segments:True", "", "KB09"},
        {"PYTORCH_CUDA_ALLOC_CONF=expandable_segments:False", "", ""},
        {"LLAMA_ARG_FIT=on", "", "KB10"},
        {"LLAMA_ARG_N_CPU_MOE=20", "", "KB11"},
        {"RAY_LD_PRELOAD=1", "", "KB18"},
        {"CUDA_INJECTION64_PATH=/opt/nsys/libToolsInjection64.so", "", "KB22"},
        {"A=b", "app --gpu-memory-utilization 0.9", ""},
        {"A=b", "llama-cli -m model", "KB10"},
        {"A=b", "llama-cli -m model -fit off -ngl 999", ""},
        {"LLAMA_ARG_FIT=off", "llama-cli -m model", ""},
        {"A=b", "llama-cli -fit off -ngl 20 -ncmoe 8", "KB10 KB11"},
        {"A=b", "llama-cli -fit off -ctk q8_0 -ctv q8_0 -fa on", "KB13"},
        {"A=b", "llama-cli -fit off -ctv q8_0", "KB12 KB13"},
        {"LLAMA_ARG_FIT=off", "ollama serve", ""},
        {"A=b", "sd-cli --offload-to-cpu --lora-model-dir .", "KB02 KB07"},
        {"A=b", "sd-cli --mmap --lora-model-dir . --lora-apply-mode at_runtime", "KB14"},
        {"A=b", "vllm serve model --cpu-offload-gb 8", "KB02 KB26"},
        {"VRAMSHIM_STORY=physical", "vllm serve model --cpu-offload-gb 0", ""},
        {"A=b", "ray start --head", "KB18"},
        {"A=b", "nsys profile app", "KB22"},
        {"A=b", "app --lowvram", "KB02"},
        {"A=b", "app --medvram --enable_sequential_cpu_offload", "KB01 KB02"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        struct trap_facts facts = RUN(.here = true);
        char variable[128], command[256], ids[256], *entries[2] = {variable, NULL}, *words[16];

        snprintf(variable, sizeof(variable), "%s", examples[i].variable);
        snprintf(command, sizeof(command), "%s", examples[i].command);
        split(command, words);
        signs_read_environment(entries, &facts.signs);
        signs_read_command(words, &facts.signs);
        facts.program = facts.signs.program;
        list_ids(&facts, ids, sizeof(ids));
        cr_expect_str_eq(ids, examples[i].ids, "%s %s: %s", variable, examples[i].command, ids);
    }
}

Test(trap, has_a_case_for_every_row)
{
    bool has[TRAP_COUNT] = {false};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        has[cases[i].id] = true;
    for (enum trap_id id = 0; id < TRAP_COUNT; id++)
        cr_expect(has[id], "%s is never made to apply", trap_at(id)->id);
}

Test(trap, does_not_apply_where_nothing_is_known)
{
    struct trap_facts nothing = {0};

    for (enum trap_id id = 0; id < TRAP_COUNT; id++)
        cr_expect_eq(trap_judge(id, &nothing), TRAP_ABSENT, "%s", trap_at(id)->id);
}

Test(trap, leaves_a_program_alone_that_has_room_for_all)
{
    for (size_t i = 0; engine_row_at(i); i++) {
        struct trap_facts facts = {.planned = true,
                                   .program = engine_row_at(i)->name,
                                   .here = true,
                                   .experts = true,
                                   .lockable = MIB,
                                   .disk_rate = 3e9};

        for (enum trap_id id = 0; id < TRAP_COUNT; id++)
            cr_expect_eq(trap_judge(id, &facts), TRAP_ABSENT, "%s, %s", facts.program,
                         trap_at(id)->id);
    }
}

Test(trap, has_ids_without_gaps_and_nothing_empty)
{
    for (enum trap_id id = 0; id < TRAP_COUNT; id++) {
        const struct trap *trap = trap_at(id);
        char expected[32];

        snprintf(expected, sizeof(expected), "KB%02u", (unsigned int)id + 1);
        cr_expect_str_eq(trap->id, expected);
        cr_expect(*trap->says && *trap->fix && *trap->source, "%s", trap->id);
    }
}

Test(trap, names_checks_of_the_doctor_that_there_are)
{
    static const char *const checks[] = {
#define CHECK(id, need, question, fix) #id,
#include "tools/checks.def"
    };

    for (enum trap_id id = 0; id < TRAP_COUNT; id++) {
        bool found = !*trap_at(id)->check;

        for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
            found |= strcmp(trap_at(id)->check, checks[i]) == 0;
        cr_expect(found, "%s names %s", trap_at(id)->id, trap_at(id)->check);
    }
}

Test(trap, tells_what_shows_it_or_what_is_known_of_the_case)
{
    struct trap_facts seen = facts_with(&(struct trap_facts){.library = true}, S(SOME_LAYERS));
    struct trap_facts planned =
        PLAN(.program = "diffusers", .component = 12 * GIB, .device = 11 * GIB);
    struct trap_facts experts =
        PLAN(.program = "llama.cpp", .experts = true, .with = 0.25, .without = 2.5);
    struct trap_facts no_figures = PLAN(.program = "llama.cpp", .experts = true, .with = 0.25);
    char text[512];

    trap_tell(TRAP_KB10, &seen, text, sizeof(text));
    cr_expect(strstr(text, " (the command has -ngl)"), "%s", text);
    trap_tell(TRAP_KB08, &planned, text, sizeof(text));
    cr_expect(strstr(text, " (12.0 GiB with its buffers, room for 11.0 GiB)"), "%s", text);
    trap_tell(TRAP_KB11, &experts, text, sizeof(text));
    cr_expect(strstr(text, " (250 ms a pass with the library, 2.5 s without)"), "%s", text);
    trap_tell(TRAP_KB11, &no_figures, text, sizeof(text));
    cr_expect_str_eq(text, trap_at(TRAP_KB11)->says);
}

/* What is printed of these facts. */
static void print(const struct trap_facts *facts, bool explain, char *text, size_t size)
{
    FILE *out = fmemopen(text, size, "w");

    memset(text, 0, size);
    cr_assert_not_null(out);
    warnings_print(facts, explain, out);
    fclose(out);
}

Test(trap, is_printed_with_what_to_do_and_on_demand_with_what_may_be)
{
    struct trap_facts facts = PLAN(.program = "vllm");
    struct trap_facts none = {0};
    char text[8192];

    print(&none, true, text, sizeof(text));
    cr_expect_str_eq(text, "");
    print(&facts, false, text, sizeof(text));
    cr_expect(strstr(text, "\nTraps\n  KB26         vLLM takes"), "%s", text);
    cr_expect(strstr(text, "\n               Fix: VRAMSHIM_STORY=physical"), "%s", text);
    cr_expect_null(strstr(text, "KB18"));
    print(&facts, true, text, sizeof(text));
    cr_expect(strstr(text, "\n               From: vLLM's"), "%s", text);
    cr_expect(strstr(text, "\nTraps that may be in the way\n  KB02"), "%s", text);
    cr_expect(strstr(text, "\n  KB18"), "%s", text);
}

Test(trap, is_printed_in_lines_for_a_terminal)
{
    for (enum trap_id id = 0; id < ARRAY_SIZE(cases); id++) {
        struct trap_facts facts = facts_with(&cases[id].facts, cases[id].signs);
        char text[8192];

        print(&facts, true, text, sizeof(text));
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
            cr_expect_leq(strcspn(line, "\n"), 100, "%s", line);
    }
}

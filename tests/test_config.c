/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/config.h"
#include "runtime/config_types.h"
#include "runtime/util.h"

static char messages[16384];

/* Loads with standard error going to a pipe; what was written is in `messages` afterwards. */
static struct config load(char *const *environment)
{
    struct config config;
    int saved = dup(STDERR_FILENO);
    int ends[2];
    ssize_t n;

    cr_assert_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    config_load(&config, environment);
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    close(saved);
    n = read(ends[0], messages, sizeof(messages) - 1);
    close(ends[0]);
    messages[n > 0 ? n : 0] = '\0';
    return config;
}

static unsigned int count_lines(const char *text)
{
    unsigned int lines = 0;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/* What `print` writes to a descriptor, in a buffer that the next call reuses. */
static const char *printed(const struct config *config, char *const *environment)
{
    static char text[16384];
    int ends[2];
    ssize_t n;

    cr_assert_eq(pipe(ends), 0);
    if (config)
        config_print(ends[1], config, environment);
    else
        config_print_table(ends[1]);
    close(ends[1]);
    n = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

Test(config, reads_sizes_with_units)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"4096", 4096},
        {"4096B", 4096},
        {"512KiB", 512 * KIB},
        {"1K", KIB},
        {"1KB", 1000},
        {"2Mi", 2 * MIB},
        {"8GiB", 8 * GIB},
        {"8G", 8 * GIB},
        {"8gib", 8 * GIB},
        {"8g", 8 * GIB},
        {"2GB", 2000000000},
        {"2gb", 2000000000},
        {"1.5G", GIB + GIB / 2},
        {"0.1G", 107374182},
        {"0.5KiB", 512},
        {"1.000000000000000000000001KB", 1000},
        {"1T", 1024 * GIB},
        {"1TB", 1000000000000},
        {"18446744073709551615", UINT64_MAX},
        {"16777215T", 16777215 * (1024 * GIB)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t bytes = 77;

        cr_expect(config_parse_size(cases[i].text, &bytes), "%s", cases[i].text);
        cr_expect_eq(bytes, cases[i].bytes, "%s gives %lu", cases[i].text, bytes);
    }
}

Test(config, refuses_what_is_no_size_and_leaves_the_output_alone)
{
    static const char *const cases[] = {
        "",
        " ",
        "-1",
        "-1GiB",
        "+1",
        "G",
        "GiB",
        "8X",
        "8GiBB",
        "8 GiB",
        " 8GiB",
        "8GiB ",
        "1,5G",
        "1.G",
        ".5G",
        "1.5",
        "1.5B",
        "1e9",
        "0x10",
        "50%",
        "8GiB8",
        "16777216T",
        "18446744073709551616",
        "18014398509481984K",
        "99999999999999999999999G",
        "nan",
        "inf",
        "1..5G",
        "8G\n",
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t bytes = 77;

        cr_expect_not(config_parse_size(cases[i], &bytes), "\"%s\"", cases[i]);
        cr_expect_eq(bytes, 77, "\"%s\"", cases[i]);
    }
}

Test(config, resolves_amounts_against_what_there_is)
{
    static const struct {
        const char *text;
        uint64_t available;
        uint64_t total;
        uint64_t bytes;
    } cases[] = {
        {"8GiB", 24 * GIB, 24 * GIB, 8 * GIB},
        {"8GiB", 6 * GIB, 24 * GIB, 6 * GIB},
        {"0", 6 * GIB, 24 * GIB, 0},
        {"50%", 24 * GIB, 24 * GIB, 12 * GIB},
        {"50%", 4 * GIB, 24 * GIB, 4 * GIB},
        {"100%", 4 * GIB, 24 * GIB, 4 * GIB},
        {"12.5%", 24 * GIB, 24 * GIB, 3 * GIB},
        {"0.01%", 20000, 20000, 2},
        {"-1GiB", 24 * GIB, 24 * GIB, 23 * GIB},
        {"-1GiB", GIB / 2, 24 * GIB, 0},
        {"-5%", 20 * GIB, 20 * GIB, 19 * GIB},
        {"-50%", 4 * GIB, 20 * GIB, 0},
        {"-0", 4 * GIB, 20 * GIB, 4 * GIB},
        {"100%", UINT64_MAX, UINT64_MAX, UINT64_MAX},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct amount amount;
        uint64_t bytes;

        cr_assert(config_type_AMOUNT.parse(cases[i].text, &amount), "%s", cases[i].text);
        bytes = amount_resolve(amount, cases[i].available, cases[i].total);
        cr_expect_eq(bytes, cases[i].bytes, "%s gives %lu", cases[i].text, bytes);
    }
}

Test(config, accepts_and_refuses_values_by_type)
{
    static const struct {
        const struct config_type *type;
        const char *text;
        const char *same; /* how it is printed; NULL when it is refused */
    } cases[] = {
        {&config_type_BOOL, "1", "1"},
        {&config_type_BOOL, "TRUE", "1"},
        {&config_type_BOOL, "Yes", "1"},
        {&config_type_BOOL, "on", "1"},
        {&config_type_BOOL, "0", "0"},
        {&config_type_BOOL, "false", "0"},
        {&config_type_BOOL, "no", "0"},
        {&config_type_BOOL, "OFF", "0"},
        {&config_type_BOOL, "", NULL},
        {&config_type_BOOL, "2", NULL},
        {&config_type_BOOL, "yess", NULL},
        {&config_type_AMOUNT, "8G", "8GiB"},
        {&config_type_AMOUNT, "-1.5G", "-1536MiB"},
        {&config_type_AMOUNT, "50%", "50%"},
        {&config_type_AMOUNT, "33.333%", "33.33%"},
        {&config_type_AMOUNT, "-2.5%", "-2.50%"},
        {&config_type_AMOUNT, "101%", NULL},
        {&config_type_AMOUNT, "--1G", NULL},
        {&config_type_AMOUNT, "-", NULL},
        {&config_type_AMOUNT, "%", NULL},
        {&config_type_AMOUNT, "5%%", NULL},
        {&config_type_AMOUNT, "5G%", NULL},
        {&config_type_STORY, "Physical", "physical"},
        {&config_type_STORY, "virtual", "virtual"},
        {&config_type_STORY, "24GiB", "24GiB"},
        {&config_type_STORY, "0", NULL},
        {&config_type_STORY, "-1G", NULL},
        {&config_type_STORY, "fixed", NULL},
        {&config_type_LEVEL, "Debug", "debug"},
        {&config_type_LEVEL, "warning", NULL},
        {&config_type_SIZE, "3MiB", "3MiB"},
        {&config_type_SIZE, "1001", "1001"},
        {&config_type_PATH, "", ""},
        {&config_type_PATH, "/a b", "/a b"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config value;
        char text[300] = "unset";
        bool accepted = cases[i].type->parse(cases[i].text, &value);

        cr_expect_eq(accepted, cases[i].same != NULL, "\"%s\"", cases[i].text);
        if (!accepted)
            continue;
        cases[i].type->format(&value, text, sizeof(text));
        cr_expect_str_eq(text, cases[i].same, "%s prints as %s", cases[i].text, text);
    }
}

Test(config, gives_every_setting_a_default_that_parses)
{
    for (size_t i = 0; config_setting(i); i++) {
        const struct setting *setting = config_setting(i);

        cr_expect(config_accepts(setting, setting->fallback), "%s", setting->name);
        cr_expect_eq(strncmp(setting->name, "VRAMSHIM_", 9), 0, "%s", setting->name);
    }
}

Test(config, uses_the_defaults_in_silence_when_nothing_is_set)
{
    char *const environment[] = {"PATH=/bin", "VRAMSHIMX=1", "NOT_VRAMSHIM_VRAM=1", NULL};
    struct config config = load(environment);

    cr_assert_str_eq(messages, "");
    cr_assert_not(config.disable);
    cr_assert(config.vram.percent && config.vram.leave_free && config.vram.value == 500);
    cr_assert_eq(config.log, LOG_WARN);
    cr_assert_eq(config.story.kind, STORY_VIRTUAL);
    cr_assert_str_eq(config.log_file.name, "");
    cr_assert_eq(load(NULL).small, config.small);
}

Test(config, takes_values_from_the_environment)
{
    char *const environment[] = {"VRAMSHIM_VRAM=-1GiB", "VRAMSHIM_RAM=50%",
                                 "VRAMSHIM_CHUNK=2M",   "VRAMSHIM_STORY=24GiB",
                                 "VRAMSHIM_LOG=debug",  "VRAMSHIM_SUMMARY=yes",
                                 "VRAMSHIM_SUMMARY=no", NULL};
    struct config config = load(environment);

    cr_assert_str_eq(messages, "");
    cr_assert(!config.vram.percent && config.vram.leave_free && config.vram.value == GIB);
    cr_assert(config.ram.percent && !config.ram.leave_free && config.ram.value == 5000);
    cr_assert_eq(config.chunk, 2 * MIB);
    cr_assert(config.story.kind == STORY_FIXED && config.story.bytes == 24 * GIB);
    cr_assert_eq(config.log, LOG_DEBUG);
    cr_assert(config.summary, "the first of two entries counts");
}

Test(config, answers_each_mistake_with_one_line_that_says_what_would_be_right)
{
    static const struct {
        char *entry;
        const char *says;
    } cases[] = {
        {"VRAMSHIM_VRM=8GiB", "nearest is VRAMSHIM_VRAM;"},
        {"VRAMSHIM_MEMORY=8GiB", "no setting is called VRAMSHIM_MEMORY;"},
        {"VRAMSHIM_=1", "no setting is called VRAMSHIM_;"},
        {"VRAMSHIM_vram=1", "nearest is VRAMSHIM_VRAM;"},
        {"VRAMSHIM_VERBOSE_=1", "nearest is VRAMSHIM_VERBOSE;"},
        {"VRAMSHIM_LOG=wran", "nearest is warn; using the default warn"},
        {"VRAMSHIM_LOG=", "is not error, warn, info or debug; using the default warn"},
        {"VRAMSHIM_STORY=phisycal", "nearest is physical; using the default virtual"},
        {"VRAMSHIM_SUMMARY=treu", "nearest is true; using the default 0"},
        {"VRAMSHIM_VRAM=lots", "is not a size such as 8GiB or a share such as 50%; negative"},
        {"VRAMSHIM_VRAM=150%", "using the default -5%"},
        {"VRAMSHIM_CHUNK=-1", "is not bytes such as 4096, 512KiB, 1.5G or 2GB; using the default"},
        {"VRAMSHIM_CHUNK=1\n2", "\"1?2\""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *const environment[] = {cases[i].entry, NULL};

        load(environment);
        cr_expect_eq(count_lines(messages), 1, "%s: %s", cases[i].entry, messages);
        cr_expect_not_null(strstr(messages, cases[i].says), "%s: %s", cases[i].entry, messages);
    }
}

Test(config, uses_the_default_for_a_bad_value)
{
    char *const bad[] = {"VRAMSHIM_VRAM=lots", "VRAMSHIM_LOG=loud", "VRAMSHIM_STORY=none", NULL};
    struct config config = load(bad);
    struct config plain = load(NULL);

    cr_assert_eq(config.vram.percent, plain.vram.percent);
    cr_assert_eq(config.vram.leave_free, plain.vram.leave_free);
    cr_assert_eq(config.vram.value, plain.vram.value);
    cr_assert_eq(config.log, plain.log);
    cr_assert_eq(config.story.kind, plain.story.kind);
}

Test(config, refuses_a_log_file_name_that_is_too_long)
{
    char entry[400] = "VRAMSHIM_LOG_FILE=";
    char *const environment[] = {entry, NULL};

    memset(entry + strlen(entry), 'x', 300);
    cr_assert_str_eq(load(environment).log_file.name, "");
    cr_assert_eq(count_lines(messages), 1);
}

Test(config, writes_its_warnings_at_the_level_that_was_asked_for)
{
    char *const environment[] = {"VRAMSHIM_VRM=1", "VRAMSHIM_LOG=error", NULL};

    load(environment);
    cr_assert_str_eq(messages, "");
}

Test(config, prints_each_setting_with_its_value_and_origin)
{
    char *const environment[] = {"VRAMSHIM_VRAM=8G", "VRAMSHIM_RAM=much", "VRAMSHIM_LOG=error",
                                 NULL};
    struct config config = load(environment);
    const char *text = printed(&config, environment);

    cr_assert_not_null(strstr(text, "vramshim: VRAMSHIM_VRAM 8GiB (environment)\n"));
    cr_assert_not_null(strstr(text, "vramshim: VRAMSHIM_RAM 75% (default)\n"));
    cr_assert_not_null(strstr(text, "vramshim: VRAMSHIM_LOG_FILE \"\" (default)\n"));
    for (size_t i = 0; config_setting(i); i++)
        cr_expect_not_null(strstr(text, config_setting(i)->name));
}

Test(config, prints_a_table_with_every_setting)
{
    const char *text = printed(NULL, NULL);
    size_t n = 0;

    while (config_setting(n)) {
        cr_expect_not_null(strstr(text, config_setting(n)->name));
        cr_expect_not_null(strstr(text, config_setting(n)->help));
        n++;
    }
    cr_assert_eq(count_lines(text), n + 2);
}

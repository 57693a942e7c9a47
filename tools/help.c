/* SPDX-License-Identifier: MIT */
/*
 * Help and the manual, from the rows of commands.def, checks.def and the settings. The manual in
 * docs/ is what `vramshim help --man` prints; a test compares them.
 */
#include <stdio.h>
#include <string.h>

#include "planner/trap.h"
#include "runtime/config.h"
#include "runtime/util.h"
#include "tools/command.h"

static const struct example {
    const char *command;
    const char *line;
} examples[] = {
#define EXAMPLE(command, line) {#command, line},
#include "tools/commands.def"
};

static const struct exit_row {
    const char *status;
    const char *meaning;
} exits[] = {
#define EXIT(status, meaning) {status, meaning},
#include "tools/commands.def"
};

static const struct check_row {
    const char *id;
    const char *question;
} checks[] = {
#define CHECK(id, need, question, fix) {#id, question},
#include "tools/checks.def"
};

static bool is_run(const struct command *command)
{
    return strcmp(command->name, "run") == 0;
}

static void print_option(const char *name, const char *value, const char *help)
{
    char left[64];

    snprintf(left, sizeof(left), "%s %s", name, value);
    printf("  %-18s %s\n", left, help);
}

static void print_settings(void)
{
    for (size_t i = 0; config_setting(i); i++) {
        const struct setting *setting = config_setting(i);
        char name[64];

        setting_option(setting->name, name, sizeof(name));
        printf("  %s%s\n      %s\n", name, config_is_switch(setting) ? "" : " VALUE",
               setting->help);
        if (!config_is_switch(setting))
            printf("      %s; default %s\n", config_describes(setting),
                   setting->fallback[0] ? setting->fallback : "(empty)");
    }
}

static void print_examples(const char *command)
{
    bool any = false;

    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        if (command && strcmp(examples[i].command, command))
            continue;
        printf("%s  %s\n", any ? "" : "\nExamples:\n", examples[i].line);
        any = true;
    }
}

static void print_exits(void)
{
    puts("\nExit status:");
    for (size_t i = 0; i < ARRAY_SIZE(exits); i++)
        printf("  %-4s %s\n", exits[i].status, exits[i].meaning);
}

/* Words of the text, in lines of 78. */
static void print_wrapped(const char *text)
{
    size_t column = 0;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (column && column + 1 + n > 78) {
            putchar('\n');
            column = 0;
        }
        printf("%s%.*s", column ? " " : "", (int)n, text);
        column += n + (column ? 1 : 0);
        text += n + (text[n] == ' ');
    }
    putchar('\n');
}

static void print_all(void)
{
    puts("usage: vramshim command [arguments]\n\n"
         "Runs unmodified CUDA programs whose memory does not fit on the card.\n");
    for (size_t i = 0; command_at(i); i++)
        printf("  %-10s %s\n", command_at(i)->name, command_at(i)->summary);
    print_examples(NULL);
    print_exits();
    puts("\nHow much of a model fits: vramshim-plan model.gguf --vram 8GiB");
}

void help_print(const struct command *command)
{
    if (!command) {
        print_all();
        return;
    }
    printf("usage: vramshim %s %s\n\n", command->name, command->arguments);
    print_wrapped(command->text);
    puts("\nOptions:");
    if (is_run(command))
        print_settings();
    for (size_t i = 0; option_at(i); i++)
        if (strcmp(option_at(i)->command, command->name) == 0)
            print_option(option_at(i)->name, option_at(i)->value, option_at(i)->help);
    print_option("--help", "", "this text");
    if (strcmp(command->name, "doctor") == 0) {
        puts("\nChecks:");
        for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
            print_option(checks[i].id, "", checks[i].question);
    }
    print_examples(command->name);
    print_exits();
}

/* Text for man(1): what it would take for a command is not one. */
static void put(const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
    }
}

static void put_line(const char *text)
{
    put(text);
    putchar('\n');
}

static void man_item(const char *name, const char *value, const char *text)
{
    fputs(".TP\n\\fB", stdout);
    put(name);
    fputs("\\fR", stdout);
    if (*value) {
        fputs(" \\fI", stdout);
        put(value);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    put_line(text);
}

static void man_settings(void)
{
    for (size_t i = 0; config_setting(i); i++) {
        const struct setting *setting = config_setting(i);
        char name[64], text[512];

        setting_option(setting->name, name, sizeof(name));
        snprintf(text, sizeof(text), "%s (%s); default %s.", setting->help,
                 config_describes(setting), setting->fallback[0] ? setting->fallback : "empty");
        man_item(name, config_is_switch(setting) ? "" : "VALUE", text);
    }
}

static void man_command(const struct command *command)
{
    fputs(".SS ", stdout);
    put_line(command->name);
    fputs("\\fBvramshim ", stdout);
    put(command->name);
    fputs("\\fR ", stdout);
    put_line(command->arguments);
    puts(".PP");
    put_line(command->text);
    for (size_t i = 0; option_at(i); i++)
        if (strcmp(option_at(i)->command, command->name) == 0)
            man_item(option_at(i)->name, option_at(i)->value, option_at(i)->help);
    if (is_run(command))
        man_settings();
}

static void man_traps(void)
{
    puts(".SH TRAPS");
    for (enum trap_id id = 0; id < TRAP_COUNT; id++) {
        const struct trap *trap = trap_at(id);
        char text[768];

        snprintf(text, sizeof(text), "%s. Fix: %s.", trap->says, trap->fix);
        man_item(trap->id, trap->check, text);
    }
}

void man_print(void)
{
    puts(".\\\" SPDX-License-Identifier: MIT\n"
         ".\\\" Printed by `vramshim help --man`; the rows are in tools/commands.def, "
         "tools/checks.def,\n"
         ".\\\" planner/traps.def and runtime/settings.def.\n"
         ".TH VRAMSHIM 1 \"\" \"vramshim\" \"User Commands\"\n"
         ".SH NAME\n"
         "vramshim \\- run CUDA programs with more memory than the card has\n"
         ".SH SYNOPSIS\n"
         ".B vramshim\n"
         ".I command\n"
         "[\\fIargument\\fR...]\n"
         ".SH COMMANDS");
    for (size_t i = 0; command_at(i); i++)
        man_command(command_at(i));
    puts(".SH CHECKS OF DOCTOR");
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
        man_item(checks[i].id, "", checks[i].question);
    man_traps();
    puts(".SH EXIT STATUS");
    for (size_t i = 0; i < ARRAY_SIZE(exits); i++)
        man_item(exits[i].status, "", exits[i].meaning);
    puts(".SH FILES\n"
         ".TP\n"
         "\\fI$XDG_CONFIG_HOME/vramshim/profile\\fR, or \\fI~/.config/vramshim/profile\\fR\n"
         "What \\fBbench\\fR has measured, a line each: a key and its value. The library and "
         "\\fBvramshim\\-plan\\fR read it; one that other users could have written is not read. "
         "VRAMSHIM_PROFILE names another.\n"
         ".SH EXAMPLES");
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        puts(".TP");
        put_line(examples[i].line);
    }
    puts(".SH SEE ALSO\n"
         ".BR vramshim\\-plan (1)");
}

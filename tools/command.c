/* SPDX-License-Identifier: MIT */
#include "tools/command.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/message.h"
#include "runtime/nearest.h"
#include "runtime/util.h"

#define PREFIX "VRAMSHIM_"

static const struct command commands[] = {
#define COMMAND(name, arguments, summary, text) {#name, name##_main, arguments, summary, text},
#include "tools/commands.def"
};

static const struct option rows[] = {
#define OPTION(command, field, name, value, help)                                                  \
    {#command, name, value, help, offsetof(struct options, field)},
#include "tools/commands.def"
};

const struct command *command_at(size_t index)
{
    return index < ARRAY_SIZE(commands) ? &commands[index] : NULL;
}

const struct option *option_at(size_t index)
{
    return index < ARRAY_SIZE(rows) ? &rows[index] : NULL;
}

int complain(enum status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    message_complain("vramshim", format, args);
    va_end(args);
    return status;
}

const struct option *option_find(const struct command *command, const char *argument)
{
    size_t n = strcspn(argument, "=");

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(rows[i].command, command->name) == 0 && strlen(rows[i].name) == n &&
            memcmp(rows[i].name, argument, n) == 0)
            return &rows[i];
    return NULL;
}

int option_take(const struct option *option, char ***at, struct options *out, enum status bad)
{
    const char *value = strchr(*(*at)++, '=');
    void *field = (char *)out + option->offset;

    if (!*option->value) {
        if (value)
            return complain(bad, "%s takes no value", option->name);
        *(bool *)field = true;
        return STATUS_OK;
    }
    if (value)
        value++;
    else if (**at)
        value = *(*at)++;
    else
        return complain(bad, "%s needs %s: %s", option->name, option->value, option->help);
    *(const char **)field = value;
    return STATUS_OK;
}

static int no_such_option(const struct command *command, const char *given)
{
    const char *names[ARRAY_SIZE(rows) + 1] = {"--help"};
    size_t n = 1;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(rows[i].command, command->name) == 0)
            names[n++] = rows[i].name;
    return complain(STATUS_USAGE, "%s has no option %.*s; did you mean %s?", command->name,
                    (int)strcspn(given, "="), given, nearest_choice(given, names, n));
}

int options_parse(const struct command *command, char **at, bool takes_rest, struct options *out)
{
    memset(out, 0, sizeof(*out));
    while (*at && (*at)[0] == '-' && (*at)[1]) {
        const struct option *option = option_find(command, *at);
        int status;

        if (strcmp(*at, "--") == 0) {
            at++;
            break;
        }
        if (strcmp(*at, "--help") == 0 || strcmp(*at, "-h") == 0) {
            out->help = true;
            help_print(command);
            return STATUS_OK;
        }
        status =
            option ? option_take(option, &at, out, STATUS_USAGE) : no_such_option(command, *at);
        if (status)
            return status;
    }
    out->rest = at;
    if (*at && !takes_rest)
        return complain(STATUS_USAGE, "%s takes no argument; usage: vramshim %s%s%s", command->name,
                        command->name, *command->arguments ? " " : "", command->arguments);
    return STATUS_OK;
}

int option_number(const char *name, const char *text, uint64_t least, uint64_t most,
                  uint64_t fallback, uint64_t *out)
{
    unsigned long long value = fallback;
    char *end;

    if (text) {
        errno = 0;
        value = strtoull(text, &end, 10);
        if (!isdigit((unsigned char)*text) || *end || errno || value < least || value > most)
            return complain(STATUS_USAGE, "%s \"%s\" is no number from %llu to %llu", name, text,
                            (unsigned long long)least, (unsigned long long)most);
    }
    *out = value;
    return STATUS_OK;
}

const char *spill_folder(const struct options *options)
{
    const char *set = getenv("VRAMSHIM_SPILL_DIR");
    const char *temporary = getenv("TMPDIR");

    if (options->spill)
        return options->spill;
    if (set && *set)
        return set;
    return temporary && *temporary ? temporary : "/var/tmp";
}

void setting_option(const char *setting, char *out, size_t size)
{
    int n = snprintf(out, size, "--%s", setting + strlen(PREFIX));

    for (int i = 2; i < n && i < (int)size; i++)
        out[i] = out[i] == '_' ? '-' : (char)tolower((unsigned char)out[i]);
}

int command_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return STATUS_OK;
    return complain(STATUS_ENVIRONMENT, "cannot write the answer: %s", strerror(errno));
}

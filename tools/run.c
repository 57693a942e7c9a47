/* SPDX-License-Identifier: MIT */
/*
 * `vramshim run` does nothing that a shell line could not do: it sets VRAMSHIM_* and LD_PRELOAD and
 * becomes the program. Its options are the rows of settings.def, so there is one list of them.
 * Values are checked here, where a person is looking, instead of becoming a warning in the
 * program's output.
 *
 * Exit status as of env(1).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/config.h"
#include "runtime/nearest.h"
#include "runtime/util.h"
#include "tools/command.h"
#include "tools/library.h"
#include "tools/preload.h"

#define MAX_OPTIONS 64

/* An option without its value: "--vram=8GiB" is 6 long. */
static size_t option_length(const char *argument)
{
    return strcspn(argument, "=");
}

static const struct setting *find_setting(const char *argument)
{
    const struct setting *setting;

    for (size_t i = 0; (setting = config_setting(i)); i++) {
        char name[64];

        setting_option(setting->name, name, sizeof(name));
        if (strlen(name) == option_length(argument) && memcmp(name, argument, strlen(name)) == 0)
            return setting;
    }
    return NULL;
}

static int complain_of_option(const char *argument)
{
    static char names[MAX_OPTIONS][64];
    const char *choices[MAX_OPTIONS + 2] = {"--lib", "--help"};
    char given[64];
    size_t n = 2;

    for (size_t i = 0; i < MAX_OPTIONS && config_setting(i); i++) {
        setting_option(config_setting(i)->name, names[i], sizeof(names[i]));
        choices[n++] = names[i];
    }
    snprintf(given, sizeof(given), "%.*s", (int)option_length(argument), argument);
    return complain(STATUS_FAILED, "run has no option %s; did you mean %s?", given,
                    nearest_choice(given, choices, n));
}

/* Puts one setting into the environment; `value` NULL is a switch turned on. */
static int apply_setting(const struct setting *setting, const char *option, const char *value)
{
    if (!value)
        value = "1";
    if (!config_accepts(setting, value))
        return complain(STATUS_FAILED, "%.*s \"%s\" is not %s", (int)option_length(option), option,
                        value, config_describes(setting));
    if (setenv(setting->name, value, 1) != 0)
        return complain(STATUS_FAILED, "cannot set %s: %s", setting->name, strerror(errno));
    return STATUS_OK;
}

/* Takes the option at `*at` and its value, and moves `*at` behind them. */
static int take_option(const struct command *self, char ***at, struct options *out)
{
    const struct option *row = option_find(self, **at);
    const struct setting *setting = find_setting(**at);
    const char *option = **at;
    const char *value = strchr(option, '=');

    if (row)
        return option_take(row, at, out, STATUS_FAILED);
    if (!setting)
        return complain_of_option(option);
    (*at)++;
    if (value)
        value++;
    else if (!config_is_switch(setting)) {
        if (!**at)
            return complain(STATUS_FAILED, "%s needs a value: %s", option,
                            config_describes(setting));
        value = *(*at)++;
    }
    return apply_setting(setting, option, value);
}

static int parse(const struct command *self, char **arguments, struct options *out)
{
    while (*arguments && (*arguments)[0] == '-') {
        int status;

        if (strcmp(*arguments, "--") == 0) {
            arguments++;
            break;
        }
        if (strcmp(*arguments, "--help") == 0 || strcmp(*arguments, "-h") == 0) {
            out->help = true;
            return STATUS_OK;
        }
        status = take_option(self, &arguments, out);
        if (status)
            return status;
    }
    if (!*arguments)
        return complain(STATUS_FAILED,
                        "no program to run; usage: vramshim run [options] -- program [arguments]");
    out->rest = arguments;
    return STATUS_OK;
}

static int preload(const char *library)
{
    int r;

    if (access(library, R_OK) != 0)
        return complain(STATUS_FAILED, "cannot read %s: %s", library, strerror(errno));
    r = preload_set(library);
    if (r == -EINVAL)
        return complain(STATUS_FAILED,
                        "%s cannot be preloaded: the loader takes a space or colon in the name for "
                        "a separator; move it",
                        library);
    return r ? complain(STATUS_FAILED, "cannot set LD_PRELOAD: %s", strerror(-r)) : STATUS_OK;
}

int run_main(const struct command *self, char **arguments)
{
    struct options options = {0};
    char library[PATH_MAX];
    char why[PATH_MAX + 128];
    int status = parse(self, arguments, &options);
    int error;

    if (status)
        return status;
    if (options.help) {
        help_print(self);
        return command_flush();
    }
    if (library_find(options.library, library, sizeof(library), why, sizeof(why)) != 0)
        return complain(STATUS_FAILED, "%s", why);
    status = preload(library);
    if (status)
        return status;

    execvp(options.rest[0], options.rest);
    error = errno;
    complain(STATUS_FAILED, "cannot run %s: %s", options.rest[0], strerror(error));
    return error == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

/* SPDX-License-Identifier: MIT */
/*
 * vramshim: the command line around the preload library. Its commands are the rows of
 * commands.def; each has a file of its own, but for those that only print.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/config.h"
#include "runtime/nearest.h"
#include "runtime/util.h"
#include "tools/command.h"

int settings_main(const struct command *self, char **arguments)
{
    struct options options;
    int status = options_parse(self, arguments, false, &options);

    if (!status && !options.help)
        config_print_table(STDOUT_FILENO);
    return status;
}

int version_main(const struct command *self, char **arguments)
{
    puts("vramshim " VRAMSHIM_VERSION);
    return command_flush();
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; command_at(i); i++)
        if (strcmp(name, command_at(i)->name) == 0)
            return command_at(i);
    return NULL;
}

static int no_such_command(const char *given)
{
    const char *names[32];
    size_t n = 0;

    for (; n < ARRAY_SIZE(names) && command_at(n); n++)
        names[n] = command_at(n)->name;
    return complain(STATUS_USAGE, "no command is called %s; did you mean %s?", given,
                    nearest_choice(given, names, n));
}

int help_main(const struct command *self, char **arguments)
{
    const struct command *command = NULL;
    struct options options;
    int status = options_parse(self, arguments, true, &options);

    if (status || options.help)
        return status;
    if (*options.rest) {
        command = find_command(*options.rest);
        if (!command)
            return no_such_command(*options.rest);
    }
    if (options.man)
        man_print();
    else
        help_print(command);
    return command_flush();
}

int main(int argc, char **argv)
{
    const struct command *command;
    const char *name = argv[1];

    if (argc < 2)
        return complain(STATUS_USAGE, "no command; try: vramshim help");
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    command = find_command(name);
    return command ? command->main(command, argv + 2) : no_such_command(argv[1]);
}

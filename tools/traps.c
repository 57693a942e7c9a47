/* SPDX-License-Identifier: MIT */
/* vramshim traps: the rows of planner/traps.def, for those who look an id up. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "planner/warning.h"
#include "runtime/nearest.h"
#include "tools/command.h"

static const struct trap *find_trap(const char *given)
{
    for (enum trap_id id = 0; id < TRAP_COUNT; id++)
        if (strcasecmp(trap_at(id)->id, given) == 0)
            return trap_at(id);
    return NULL;
}

static int no_such_trap(const char *given)
{
    const char *names[TRAP_COUNT];

    for (enum trap_id id = 0; id < TRAP_COUNT; id++)
        names[id] = trap_at(id)->id;
    return complain(STATUS_USAGE, "no trap is called %s; did you mean %s?", given,
                    nearest_choice(given, names, TRAP_COUNT));
}

/* All of them where none is named. */
static bool is_wanted(const struct trap *trap, char **named)
{
    if (!*named)
        return true;
    for (; *named; named++)
        if (find_trap(*named) == trap)
            return true;
    return false;
}

static void print_json(char **named)
{
    json_t *list = json_array();

    for (enum trap_id id = 0; id < TRAP_COUNT; id++) {
        const struct trap *trap = trap_at(id);

        if (is_wanted(trap, named))
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:s, s:s, s:s?}", "id", trap->id, "says",
                                            trap->says, "fix", trap->fix, "source", trap->source,
                                            "check", *trap->check ? trap->check : NULL));
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
}

int traps_main(const struct command *self, char **arguments)
{
    struct options options;
    int status = options_parse(self, arguments, true, &options);

    if (status || options.help)
        return status;
    for (char **named = options.rest; *named; named++)
        if (!find_trap(*named))
            return no_such_trap(*named);
    if (options.json)
        print_json(options.rest);
    for (enum trap_id id = 0; !options.json && id < TRAP_COUNT; id++)
        if (is_wanted(trap_at(id), options.rest))
            warning_print(id, NULL, true, stdout);
    return command_flush();
}

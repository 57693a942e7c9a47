/* SPDX-License-Identifier: MIT */
/*
 * Has the shim inside, and tells whether it would do anything: "off" or "on", and whether the
 * loader says that this process has more rights than who started it. With another word as argument
 * it tells whether a library is preloaded that is called so.
 */
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include "interpose/life.h"

static int is_mapped(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    int found = 0;

    while (maps && fgets(line, sizeof(line), maps))
        found |= strstr(line, name) != NULL;
    if (maps)
        fclose(maps);
    return found;
}

int main(int argc, char **argv)
{
    const char *rights = getauxval(AT_SECURE) ? "more" : "own";

    if (argc > 1)
        printf("%s %s\n", rights, is_mapped(argv[1]) ? "mapped" : "absent");
    else
        printf("%s %s\n", rights, life_start()->disable ? "off" : "on");
    return 0;
}

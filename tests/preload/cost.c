/* SPDX-License-Identifier: MIT */
/*
 * Makes a call that passes through as often as the argument says, for counting instructions.
 */

#include "tests/preload/probe.h"

int main(int argc, char **argv)
{
    long times = argc > 1 ? strtol(argv[1], NULL, 10) : 0;

    for (long i = 0; i < times; i++)
        (void)cuStreamAttachMemAsync(NULL, 0, 0, 0);
    return 0;
}

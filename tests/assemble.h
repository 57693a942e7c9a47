/* SPDX-License-Identifier: MIT */
#pragma once

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The toolkit's assembler takes this PTX: the simulator forgives what a driver does not. Skips the
 * test where there is no toolkit. */
static inline void must_assemble(const char *ptx)
{
    char path[] = "/tmp/assemble-XXXXXX";
    char command[256];
    int fd;

    if (system("command -v ptxas >/dev/null 2>&1"))
        cr_skip_test("no ptxas here");
    fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(dprintf(fd, "%s", ptx), (int)strlen(ptx));
    close(fd);
    snprintf(command, sizeof(command), "ptxas -arch=sm_90 -o /dev/null %s", path);
    cr_expect_eq(system(command), 0);
    unlink(path);
}

/* SPDX-License-Identifier: MIT */
#include "tools/preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int preload_set(const char *library)
{
    const char *before = getenv("LD_PRELOAD");
    char *value;
    int r;

    if (strpbrk(library, " :"))
        return -EINVAL;
    if (asprintf(&value, "%s%s%s", library, before && *before ? ":" : "", before ? before : "") < 0)
        return -ENOMEM;
    r = setenv("LD_PRELOAD", value, 1) ? -errno : 0;
    free(value);
    return r;
}

/* SPDX-License-Identifier: MIT */
#include "tools/library.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"

/* From the folder of programs to that of libraries; the build knows better. */
#ifndef LIBRARY_FROM_BINDIR
#define LIBRARY_FROM_BINDIR "../lib"
#endif

/* Seen from this program's folder: built, installed, or copied beside. */
static const char *const places[] = {
    "../interpose/" LIBRARY_NAME,
    LIBRARY_FROM_BINDIR "/" LIBRARY_NAME,
    LIBRARY_NAME,
};

static int take(const char *path, char *out, size_t size)
{
    char real[PATH_MAX];

    if (!realpath(path, real) || strlen(real) >= size)
        return -ENOENT;
    strcpy(out, real);
    return 0;
}

int library_find(const char *given, char *out, size_t size, char *why, size_t why_size)
{
    char self[PATH_MAX];
    ssize_t n;
    char *slash;

    if (given) {
        if (take(given, out, size) == 0)
            return 0;
        snprintf(why, why_size, "cannot read %s: %s", given, strerror(errno));
        return -ENOENT;
    }
    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0) {
        snprintf(why, why_size,
                 "cannot find " LIBRARY_NAME ": /proc/self/exe: %s; name it with --lib",
                 strerror(errno));
        return -ENOENT;
    }
    self[n] = '\0';
    slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        char place[2 * PATH_MAX];

        snprintf(place, sizeof(place), "%s/%s", self, places[i]);
        if (take(place, out, size) == 0)
            return 0;
    }
    snprintf(why, why_size,
             LIBRARY_NAME " is not near %s; build it with ninja, or name it with --lib", self);
    return -ENOENT;
}

/* SPDX-License-Identifier: MIT */
/* The home folder first: the user's name is a part of it. */
#include "tools/redact.h"

#include <ctype.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"

enum { NAME_LEAST = 3 }; /* bytes; shorter ones are everywhere */

struct name {
    const char *name, *instead;
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* Whether the name stands there as a word of its own. */
static bool stands_at(const char *text, const char *at, const char *name)
{
    size_t n = strlen(name);

    return strncmp(at, name, n) == 0 && !is_word(at[n]) && (at == text || !is_word(at[-1]));
}

static void copy_without(const char *text, const struct name *names, size_t n, FILE *out)
{
    const char *at = text;

    while (*at) {
        size_t i = 0;

        while (i < n && !stands_at(text, at, names[i].name))
            i++;
        if (i == n) {
            fputc(*at++, out);
        } else {
            fputs(names[i].instead, out);
            at += strlen(names[i].name);
        }
    }
}

static size_t add(struct name *names, size_t n, const char *name, const char *instead)
{
    /* The administrator's is the same everywhere. */
    if (!name || strlen(name) < NAME_LEAST || !strcmp(name, "root"))
        return n;
    names[n] = (struct name){name, instead};
    return n + 1;
}

char *redact(const char *text)
{
    const struct passwd *user = getpwuid(getuid());
    char host[HOST_NAME_MAX + 1] = "", *clear = NULL;
    struct name names[5];
    size_t size = 0, n = 0;
    FILE *out = open_memstream(&clear, &size);

    if (!out)
        return NULL;
    (void)gethostname(host, sizeof(host) - 1);
    n = add(names, n, getenv("HOME"), "~");
    n = add(names, n, user ? user->pw_dir : NULL, "~");
    n = add(names, n, user ? user->pw_name : NULL, "USER");
    n = add(names, n, getenv("USER"), "USER");
    n = add(names, n, host, "HOST");
    copy_without(text, names, n, out);
    if (fclose(out) == 0)
        return clear;
    free(clear);
    return NULL;
}

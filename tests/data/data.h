/* SPDX-License-Identifier: MIT */
#pragma once

/* The files beside this one, in memory. */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct data {
    unsigned char
        *at; /* exactly `bytes` long on the heap, so that a sanitizer sees every overrun */
    size_t bytes;
};

static inline void data_free(struct data *data)
{
    free(data->at);
    *data = (struct data){0};
}

/* The first `bytes` of another, for data_free(). */
static inline struct data data_cut(const struct data *data, size_t bytes)
{
    struct data cut = {malloc(bytes), bytes};

    if (bytes)
        memcpy(cut.at, data->at, bytes);
    return cut;
}

/* Where tests/data/NAME is; good until the next call. */
static inline const char *data_path(const char *name)
{
    static char path[4096];
    const char *root = getenv("MESON_SOURCE_ROOT");

    snprintf(path, sizeof(path), "%s/tests/data/%s", root ? root : ".", name);
    return path;
}

/* Reads tests/data/NAME; ends the process with one line when that cannot be done. */
static inline struct data data_load(const char *name)
{
    const char *path = data_path(name);
    struct data data = {0};
    FILE *file;
    long end;

    file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) || (end = ftell(file)) <= 0)
        goto fail;
    rewind(file);
    data.bytes = end;
    data.at = malloc(data.bytes);
    if (!data.at || fread(data.at, 1, data.bytes, file) != data.bytes)
        goto fail;
    fclose(file);
    return data;
fail:
    fprintf(stderr, "%s: cannot be read; set MESON_SOURCE_ROOT to the top of the source tree\n",
            path);
    exit(1);
}

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A file that is written beside its place and moved there, so that a reader never sees half of one.
 * A symbolic link stays, and leads to what was written, but for one that another user has laid in
 * a folder for all: that is refused. What is no regular file, such as a pipe or /dev/null, is never
 * replaced: it is written to.
 */

#include <stdio.h>
#include <sys/types.h>

struct outfile {
    FILE *stream;
    char *path, *beside; /* beside: NULL when written in place */
};

/* 0 and a file to be ended with outfile_end(), or -errno. */
int outfile_open(const char *path, mode_t mode, struct outfile *out);

/* With `r` of 0 it takes its place, else nothing of it is left. `r`, or why it could not. */
int outfile_end(struct outfile *file, int r);

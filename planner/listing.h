/* SPDX-License-Identifier: MIT */
#pragma once

/* The files of a folder that may be models or parts of them, by their names. */

#include <stddef.h>

#include "planner/message.h"

enum listing_kind {
    LISTING_INDEX,
    LISTING_WEIGHTS,
    LISTING_GGUF,
    LISTING_PICKLE, /* a program: never opened */
    LISTING_UNFINISHED,
    LISTING_OTHER,
};

struct listing {
    char **names; /* in the order of the alphabet */
    size_t n, room;
};

/* 0, or a negative errno and a message. `out` is all zeros before, and to be given to
 * listing_fini() in any case. */
int listing_read(const char *path, struct message *message, struct listing *out);
void listing_fini(struct listing *listing);

enum listing_kind listing_kind(const char *name);

/* How many are of that kind; `first` is set when there are any. */
size_t listing_count(const struct listing *listing, enum listing_kind kind, const char **first);

/* The weights of a folder: a usual name, else the only one. NULL: there are none, or several. */
const char *listing_weights(const struct listing *listing);

/* Why there is no one model in the folder. Returns -EINVAL. */
int listing_fail(const struct listing *listing, const char *path, struct message *message);

/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>

#include "planner/message.h"

enum {
    /* Configurations have a few KiB; a tree of JSON takes up to fifty times its text. */
    DOCUMENT_MAX = 1 << 19,
};

/* Reads a small file of JSON whose outermost value is an object. -ENOENT: there is no such file.
 * Otherwise as inputs_open(); the object is the caller's. */
int document_read(const char *path, struct message *message, json_t **out);

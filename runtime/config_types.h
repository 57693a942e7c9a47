/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The types a row of settings.def can have: how a value is written and read. Internal to config.
 */

#include "runtime/config.h"

struct config_type {
    const char *accepts;      /* for messages and the table */
    const char *const *words; /* the words among the valid values, NULL-terminated; may be NULL */
    /* False, with `value` untouched, for text that is no such value. */
    bool (*parse)(const char *text, void *value);
    /* Writes text that parses to the same value. */
    void (*format)(const void *value, char *out, size_t size);
};

extern const struct config_type config_type_BOOL;
extern const struct config_type config_type_SIZE;
extern const struct config_type config_type_AMOUNT;
extern const struct config_type config_type_STORY;
extern const struct config_type config_type_ENGINE;
extern const struct config_type config_type_WHEN;
extern const struct config_type config_type_LEVEL;
extern const struct config_type config_type_PATH;
extern const struct config_type config_type_FILE;

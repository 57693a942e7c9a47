/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Settings, read from the environment once per process; the rows are in settings.def.
 *
 * A name that begins with VRAMSHIM_ and is no setting, or a value that does not parse, is answered
 * by one warning naming the nearest valid one; the default is used.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "runtime/log.h"

/* A quantity of memory relative to what there is. */
struct amount {
    bool percent;    /* value is in hundredths of a percent, else in bytes */
    bool leave_free; /* it was negative: the rest may be used */
    uint64_t value;
};

enum story_kind {
    STORY_PHYSICAL, /* the card as it is */
    STORY_VIRTUAL,  /* device budget plus host budget */
    STORY_FIXED,    /* story.bytes */
};

struct story {
    enum story_kind kind;
    uint64_t bytes;
};

/* What is done about memory that a launch names and that is not on the card. */
enum engine {
    ENGINE_STREAM, /* learn the pass and copy ahead of use */
    ENGINE_LRU,    /* move homes in, and the least recently used out */
    ENGINE_NONE,   /* nothing: it is read in place */
};

/* Whether something is done that may be better or worse. */
enum when {
    WHEN_AUTO,
    WHEN_NEVER,
    WHEN_ALWAYS,
};

typedef bool config_BOOL;
typedef uint64_t config_SIZE;
typedef struct amount config_AMOUNT;
typedef struct story config_STORY;
typedef enum engine config_ENGINE;
typedef enum when config_WHEN;
typedef enum log_level config_LEVEL;
typedef struct {
    char name[256];
} config_PATH;
typedef config_PATH config_FILE;

struct config {
#define SETTING(field, name, type, fallback, help) config_##type field;
#include "runtime/settings.def"
};

/* Fills `out` from `environ`-style strings. Sets up the log from what it found, then writes the
 * warnings to it. Never fails. */
void config_load(struct config *out, char *const *environment);

/* Bytes that `amount` means when `available` of `total` bytes are free; never above `available`.
 * A share is a share of `total`. */
uint64_t amount_resolve(struct amount amount, uint64_t available, uint64_t total);

/* Parses "8GiB", "1.5G", "4096". False for anything else, overflow and negative numbers included.
 */
bool config_parse_size(const char *text, uint64_t *out);
/* The same, "80%" for a share, and either with a minus for what is to be left free. */
bool config_parse_amount(const char *text, struct amount *out);

/* One row of settings.def, for programs that offer the settings to a person. */
struct setting {
    const char *name;
    const char *fallback;
    const char *help;
    const struct config_type *type;
    size_t offset; /* of the field in struct config */
};

/* NULL behind the last one. */
const struct setting *config_setting(size_t index);
bool config_accepts(const struct setting *setting, const char *text);
/* The accepted forms, in words. */
const char *config_describes(const struct setting *setting);
/* True for a BOOL. */
bool config_is_switch(const struct setting *setting);

/* One line per setting: name, value, origin. `origin` is "environment" or "default". */
void config_print(int fd, const struct config *config, char *const *environment);

/* The README's table, Markdown. */
void config_print_table(int fd);

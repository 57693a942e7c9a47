/* SPDX-License-Identifier: MIT */
#pragma once

/* What the commands of vramshim share: rows of commands.def, the parser, messages. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum status {
    STATUS_OK = 0,
    STATUS_NO = 1,
    STATUS_USAGE = 2,
    STATUS_ENVIRONMENT = 3,
    STATUS_FAILED = 125, /* of `run` */
    STATUS_CANNOT_RUN = 126,
    STATUS_NOT_FOUND = 127,
};

/* Texts point into the arguments; NULL where nothing was said. */
struct options {
    const char *library, *device, *spill, *root, *output, *bytes, *seconds;
    const char *plan, *bundle;
    bool json, man, help;
    char **rest; /* behind the options */
};

struct option {
    const char *command;
    const char *name;
    const char *value; /* "": a switch */
    const char *help;
    size_t offset; /* in struct options */
};

struct command {
    const char *name;
    int (*main)(const struct command *self, char **arguments);
    const char *arguments;
    const char *summary;
    const char *text;
};

#define COMMAND(name, arguments, summary, text)                                                    \
    int name##_main(const struct command *self, char **arguments_);
#include "tools/commands.def"

/* NULL behind the last one. */
const struct command *command_at(size_t index);
const struct option *option_at(size_t index);

/* One line on standard error; returns `status`. */
__attribute__((format(printf, 2, 3))) int complain(enum status status, const char *format, ...);

/* The option of that command which the argument, with or without "=value", is; NULL. */
const struct option *option_find(const struct command *command, const char *argument);
/* Takes it, and its value, from `*at`. STATUS_OK, or `bad` after a message. */
int option_take(const struct option *option, char ***at, struct options *out, enum status bad);

/* All of a command's arguments. STATUS_OK or STATUS_USAGE; with out->help its help was printed. A
 * command that takes no more than options refuses the rest. */
int options_parse(const struct command *command, char **arguments, bool takes_rest,
                  struct options *out);

/* A number from `least` to `most`; `fallback` where the text is NULL. */
int option_number(const char *name, const char *text, uint64_t least, uint64_t most,
                  uint64_t fallback, uint64_t *out);

/* Where memory would be put on disk: as asked, as set, or where temporary files go. */
const char *spill_folder(const struct options *options);

/* VRAMSHIM_LOG_FILE as the option --log-file. */
void setting_option(const char *setting, char *out, size_t size);

/* What is written has been written; else a message and STATUS_ENVIRONMENT. */
int command_flush(void);

void help_print(const struct command *command);
void man_print(void);

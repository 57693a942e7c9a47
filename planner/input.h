/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a person gives the planner: a file, the parts of one, a folder of files, or several of
 * these. Whatever the format was, it becomes a list of tensors and a description of the
 * architecture.
 */

#include <stddef.h>
#include <stdint.h>

#include "planner/arch.h"
#include "planner/gguf.h"
#include "planner/message.h"
#include "planner/safetensors.h"
#include "planner/tensor.h"

enum input_role {
    INPUT_MODEL,
    INPUT_ADAPTER,   /* added to the model's weights: LoRA and the like */
    INPUT_SECOND,    /* runs in place of the model in some passes */
    INPUT_DRAFT,     /* a small model that guesses ahead, with a cache of its own */
    INPUT_PROJECTOR, /* images or sound to what the model reads; not part of a pass over text */
    INPUT_ENCODER,   /* of text, before an image model */
    INPUT_DECODER,   /* from its result to pixels */
    INPUT_ROLES,
};

struct input {
    enum input_role role;
    char *path;
    const char *format; /* static */
    uint32_t version;   /* of the format; 0: it has none */
    struct text name;   /* data NULL: not said; so architecture */
    struct text architecture;
    struct arch arch;
    const struct tensor *tensors;
    size_t n_tensors;
    size_t n_files;
    uint64_t file_bytes;
    char remark[256]; /* what a person may want to know; empty: nothing */

    /* What the above lies in. */
    struct tensor *own_tensors;
    size_t room;
    struct gguf **ggufs;
    size_t n_ggufs;
    struct safetensors **files;
    size_t n_safetensors;
    struct source index;
    char *own_text;
};

enum {
    INPUTS_MAX = 16,
};

struct inputs {
    struct input *list[INPUTS_MAX];
    size_t n;
};

/*
 * Opens what is at `path` and appends it: a folder of an image model is several inputs. On failure
 * a negative errno and a message; -EINVAL for what is no good model, -E2BIG for too many.
 */
int inputs_open(struct inputs *inputs, const char *path, struct message *message);

/* Says which of them is what: the first that is no accessory is the model. -ENOENT: none is. */
int inputs_sort(struct inputs *inputs);

/* The first of that role; NULL: there is none. */
struct input *inputs_find(const struct inputs *inputs, enum input_role role);
void inputs_fini(struct inputs *inputs);

const char *input_role_name(enum input_role role);

/* For those who fill one. Files become the input's, also on failure. 0 or -ENOMEM. */
struct input *input_new(const char *path);
struct input *input_free(struct input *input); /* NULL is fine; returns NULL */
int input_take_gguf(struct input *input, struct gguf *gguf);
int input_take_safetensors(struct input *input, struct safetensors *file);
int input_append(struct input *input, const struct tensor *tensors, size_t n);

/* Whether all that were appended have names of their own. */
int input_check_names(const struct input *input, struct message *message);

/* What a file holds, by the names of its tensors. */
bool input_is_adapter(const struct input *input);
bool input_is_decoder(const struct input *input);

int inputs_append(struct inputs *inputs, struct input *input, struct message *message);

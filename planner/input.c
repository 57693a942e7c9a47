/* SPDX-License-Identifier: MIT */
/*
 * An input is filled by one of those who know a format: split.c for GGUF files, shards.c for
 * safetensors, folder.c for folders of them. Tensors of several files are copied into one list, in
 * the order of files; their names stay where they are.
 */
#include "planner/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "planner/families.h"
#include "planner/folder.h"
#include "planner/shards.h"
#include "planner/split.h"
#include "runtime/util.h"

enum {
    GUESS_BYTES = 512,
};

const char *input_role_name(enum input_role role)
{
    static const char *const names[INPUT_ROLES] = {
        [INPUT_MODEL] = "model",     [INPUT_ADAPTER] = "adapter",     [INPUT_SECOND] = "second",
        [INPUT_DRAFT] = "draft",     [INPUT_PROJECTOR] = "projector", [INPUT_ENCODER] = "encoder",
        [INPUT_DECODER] = "decoder",
    };

    return names[role];
}

struct input *input_new(const char *path)
{
    struct input *input = calloc(1, sizeof(*input));

    if (!input)
        return NULL;
    input->index.fd = -1;
    input->arch.verdict = ARCH_UNNAMED;
    input->path = strdup(path);
    return input->path ? input : input_free(input);
}

struct input *input_free(struct input *input)
{
    if (!input)
        return NULL;
    for (size_t i = 0; i < input->n_ggufs; i++)
        gguf_free(input->ggufs[i]);
    for (size_t i = 0; i < input->n_safetensors; i++)
        safetensors_free(input->files[i]);
    source_fini(&input->index);
    free(input->ggufs);
    free(input->files);
    free(input->own_tensors);
    free(input->own_text);
    free(input->path);
    free(input);
    return NULL;
}

int input_append(struct input *input, const struct tensor *tensors, size_t n)
{
    if (n > input->room - input->n_tensors) {
        size_t room = max_u64(2 * input->room, input->n_tensors + n);
        struct tensor *grown = reallocarray(input->own_tensors, room, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        input->own_tensors = grown;
        input->room = room;
    }
    if (n)
        memcpy(input->own_tensors + input->n_tensors, tensors, n * sizeof(*tensors));
    input->n_tensors += n;
    input->tensors = input->own_tensors;
    return 0;
}

int input_take_gguf(struct input *input, struct gguf *gguf)
{
    struct gguf **grown = reallocarray(input->ggufs, input->n_ggufs + 1, sizeof(struct gguf *));

    if (!grown) {
        gguf_free(gguf);
        return -ENOMEM;
    }
    input->ggufs = grown;
    grown[input->n_ggufs++] = gguf;
    input->n_files++;
    input->file_bytes += gguf->file_bytes;
    return input_append(input, gguf->tensors, gguf->n_tensors);
}

int input_take_safetensors(struct input *input, struct safetensors *file)
{
    struct safetensors **grown =
        reallocarray(input->files, input->n_safetensors + 1, sizeof(struct safetensors *));

    if (!grown) {
        safetensors_free(file);
        return -ENOMEM;
    }
    input->files = grown;
    grown[input->n_safetensors++] = file;
    input->n_files++;
    input->file_bytes += file->file_bytes;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return text_compare((*(const struct tensor *const *)a)->name,
                        (*(const struct tensor *const *)b)->name);
}

int input_check_names(const struct input *input, struct message *message)
{
    const struct tensor **index = calloc(input->n_tensors + 1, sizeof(const struct tensor *));
    int r = 0;

    if (!index)
        return message_no_memory(message);
    for (size_t i = 0; i < input->n_tensors; i++)
        index[i] = &input->tensors[i];
    qsort(index, input->n_tensors, sizeof(*index), by_name);
    for (size_t i = 1; i < input->n_tensors && !r; i++)
        if (by_name(&index[i - 1], &index[i]) == 0)
            r = message_fail(message, index[i]->source->path,
                             "tensor %s is in %s too; each belongs in one part only",
                             text_show(index[i]->name).text,
                             text_show((struct text){index[i - 1]->source->path,
                                                     strlen(index[i - 1]->source->path)})
                                 .text);
    free(index);
    return r;
}

static bool has_any(const struct input *input, const char *const *parts, size_t n)
{
    for (size_t i = 0; i < input->n_tensors; i++)
        for (size_t k = 0; k < n; k++)
            if (text_has(input->tensors[i].name, parts[k]))
                return true;
    return false;
}

bool input_is_adapter(const struct input *input)
{
    static const char *const parts[] = {".lora_a", ".lora_b",    ".lora_A.", ".lora_B.",
                                        "lora_up", "lora_down.", ".lokr_",   ".hada_"};

    return has_any(input, parts, ARRAY_SIZE(parts));
}

bool input_is_decoder(const struct input *input)
{
    static const char *const parts[] = {"decoder.conv_in.", "decoder.conv_out.", "decoder.conv1.",
                                        "decoder.mid"};

    return has_any(input, parts, ARRAY_SIZE(parts));
}

int inputs_append(struct inputs *inputs, struct input *input, struct message *message)
{
    if (inputs->n == INPUTS_MAX) {
        message_fail(message, input->path, "there are more than %d models and parts", INPUTS_MAX);
        input_free(input);
        return -E2BIG;
    }
    inputs->list[inputs->n++] = input;
    return 0;
}

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Those who know a format; 0, or a negative errno and a message. */
typedef int (*opener)(struct inputs *inputs, const char *path, struct message *message);

static int open_unknown(struct inputs *inputs, const char *path, struct message *message)
{
    (void)inputs;
    return message_fail(message, path,
                        "this is neither a GGUF file nor a safetensors file nor a folder of them");
}

/* By the beginning of a file, and by its name where that is not enough to tell. */
static int choose(const char *path, struct message *message, opener *out)
{
    struct source source;
    const char *guess;
    size_t seen;
    int r = source_open(path, message->text, sizeof(message->text), &source);

    if (r)
        return r;
    seen = min_u64(source.bytes, GUESS_BYTES);
    r = source_fill(&source, seen);
    guess = r ? NULL : source_guess(path, source.head, seen);
    if (r)
        message_fail(message, path, "%s", strerror(-r));
    else if (seen >= 4 && memcmp(source.head, "GGUF", 4) == 0)
        *out = split_open;
    else if (ends(path, ".json"))
        *out = strstr(path, ".index.") ? shards_open_index : folder_open_file;
    else if (safetensors_begin(source.head, seen, source.bytes) || ends(path, ".safetensors"))
        *out = shards_open_file;
    else if (ends(path, ".gguf") || seen == 0)
        *out = split_open;
    else if (guess)
        r = message_fail(message, path, "%s", guess);
    else
        *out = open_unknown;
    source_fini(&source);
    return r;
}

int inputs_open(struct inputs *inputs, const char *path, struct message *message)
{
    opener open = folder_open;
    struct stat status;
    int r = 0;

    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        r = choose(path, message, &open);
    return r ? r : open(inputs, path, message);
}

static bool is_accessory(const struct input *input)
{
    return input->role == INPUT_ADAPTER || input->role == INPUT_PROJECTOR;
}

static bool is_image(const struct input *input)
{
    return input->arch.verdict == ARCH_UNKNOWN && family_find(input->arch.name) != NULL;
}

int inputs_sort(struct inputs *inputs)
{
    struct input *model = NULL;

    for (size_t i = 0; i < inputs->n && !model; i++)
        if (inputs->list[i]->role == INPUT_MODEL)
            model = inputs->list[i];
    if (!model)
        return -ENOENT;
    for (size_t i = 0; i < inputs->n; i++) {
        struct input *input = inputs->list[i];

        if (input == model || input->role != INPUT_MODEL || is_accessory(input))
            continue;
        input->role = !is_image(model)          ? INPUT_DRAFT
                      : input_is_decoder(input) ? INPUT_DECODER
                                                : INPUT_ENCODER;
    }
    return 0;
}

struct input *inputs_find(const struct inputs *inputs, enum input_role role)
{
    for (size_t i = 0; i < inputs->n; i++)
        if (inputs->list[i]->role == role)
            return inputs->list[i];
    return NULL;
}

void inputs_fini(struct inputs *inputs)
{
    for (size_t i = 0; i < inputs->n; i++)
        input_free(inputs->list[i]);
    inputs->n = 0;
}

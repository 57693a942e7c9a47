/* SPDX-License-Identifier: MIT */
/*
 * GGUF models, of one file or of several.
 *
 * Parts are numbered from 0 inside and from 1 in the names, which end in -00001-of-00003.gguf; the
 * others are looked for beside the first. The number of parts is a 16-bit one in the file, and each
 * part is opened before the next is looked for, so a wrong number costs nothing.
 */
#include "planner/split.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/arch_gguf.h"
#include "runtime/util.h"

enum {
    MAX_PARTS = 65535,
    GGUF_BLOCK_DIGITS = 20,
};

static uint64_t number_of(const struct gguf *gguf, const char *key, uint64_t fallback)
{
    uint64_t value = fallback;

    (void)gguf_get_u64(gguf, key, &value);
    return value;
}

/* Digits in front of `*end`, which moves before them. */
static bool take_number(const char *text, size_t *end, uint64_t *out)
{
    size_t at = *end;

    while (at > 0 && isdigit((unsigned char)text[at - 1]) && *end - at < 9)
        at--;
    *out = strtoull(text + at, NULL, 10);
    if (*end - at < 5)
        return false;
    *end = at;
    return true;
}

static bool take_text(const char *text, size_t *end, const char *part)
{
    size_t n = strlen(part);

    if (*end < n || memcmp(text + *end - n, part, n) != 0)
        return false;
    *end -= n;
    return true;
}

bool split_parse(const char *path, const char *ending, struct split_name *out)
{
    size_t end = strlen(path);

    if (!take_text(path, &end, ending) || !take_number(path, &end, &out->count) ||
        !take_text(path, &end, "-of-") || !take_number(path, &end, &out->index) ||
        !take_text(path, &end, "-"))
        return false;
    out->stem = end;
    return true;
}

static int check_part(const struct input *input, const struct gguf *gguf, const char *path,
                      uint64_t index, uint64_t count, struct message *message)
{
    const struct source *first = input->ggufs[0]->source;

    if (index && gguf->source->device == first->device && gguf->source->inode == first->inode)
        return message_fail(message, path, "this is the same file as the first part; get it too");
    if (number_of(gguf, "split.no", MAX_PARTS) != index)
        return message_fail(message, path, "split.no is not %" PRIu64 "; is it another part?",
                            index);
    if (number_of(gguf, "split.count", 0) != count)
        return message_fail(message, path,
                            "split.count is not %" PRIu64 ", as the first part has it", count);
    return 0;
}

static int open_part(struct input *input, size_t stem_size, uint64_t index, uint64_t count,
                     struct message *message)
{
    struct gguf *gguf = NULL;
    char *path;
    int r;

    if (asprintf(&path, "%.*s-%05" PRIu64 "-of-%05" PRIu64 ".gguf", (int)stem_size, input->path,
                 index + 1, count) < 0)
        return message_no_memory(message);
    r = gguf_open(path, message->text, sizeof(message->text), &gguf);
    if (r == -ENOENT)
        r = message_fail(message, path, "part %" PRIu64 " of %" PRIu64 " is missing; get it too",
                         index + 1, count);
    if (!r) {
        r = check_part(input, gguf, path, index, count, message);
        if (r)
            gguf_free(gguf);
        else if (input_take_gguf(input, gguf))
            r = message_no_memory(message);
    }
    free(path);
    return r;
}

static int open_parts(struct input *input, uint64_t count, struct message *message)
{
    struct split_name name = {0};
    uint64_t total;
    int r;

    if (number_of(input->ggufs[0], "split.no", 0) != 0)
        return message_fail(message, input->path,
                            "this is part %" PRIu64 " of %" PRIu64 "; name the first part instead",
                            number_of(input->ggufs[0], "split.no", 0) + 1, count);
    if (!split_parse(input->path, ".gguf", &name) || name.count != count || name.index != 1)
        return message_fail(message, input->path,
                            "this is the first of %" PRIu64 " parts, but its name does not end in "
                            "-00001-of-%05" PRIu64 ".gguf; name it so, the others beside it",
                            count, count);
    r = check_part(input, input->ggufs[0], input->path, 0, count, message);
    for (uint64_t i = 1; i < count && !r; i++)
        r = open_part(input, name.stem, i, count, message);
    if (r)
        return r;
    total = number_of(input->ggufs[0], "split.tensors.count", input->n_tensors);
    if (total != input->n_tensors)
        return message_fail(message, input->path,
                            "split.tensors.count is %" PRIu64 ", but the parts have %zu tensors",
                            total, input->n_tensors);
    return input_check_names(input, message);
}

/* Names and architecture are in the first part. */
static void describe(struct input *input)
{
    const struct gguf *gguf = input->ggufs[0];
    struct text type = {0};

    input->format = "GGUF";
    input->version = gguf->version;
    (void)gguf_get_string(gguf, "general.name", &input->name);
    (void)gguf_get_string(gguf, "general.architecture", &input->architecture);
    (void)gguf_get_string(gguf, "general.type", &type);
    arch_read_gguf(gguf, &input->arch);
    if (text_equal(type, "mmproj") || text_equal(input->architecture, "clip"))
        input->role = INPUT_PROJECTOR;
    else if (text_equal(type, "adapter") || input_is_adapter(input))
        input->role = INPUT_ADAPTER;
    for (size_t i = 0; i < input->n_ggufs; i++)
        if (input->ggufs[i]->unused)
            snprintf(input->remark, sizeof(input->remark),
                     "%" PRIu64 " bytes behind the last tensor belong to nothing",
                     input->ggufs[i]->unused);
}

/* The layer in "blk.7.attn_q.weight"; false: there is none. */
static bool layer_of(struct text name, uint64_t *out)
{
    char digits[GGUF_BLOCK_DIGITS + 1];
    size_t n = 0;

    if (!text_begins(name, "blk."))
        return false;
    for (size_t at = 4; at < name.size && isdigit((unsigned char)name.data[at]); at++, n++)
        if (n < GGUF_BLOCK_DIGITS)
            digits[n] = name.data[at];
    digits[min_u64(n, GGUF_BLOCK_DIGITS)] = '\0';
    *out = n < GGUF_BLOCK_DIGITS ? strtoull(digits, NULL, 10) : UINT64_MAX;
    return n > 0;
}

/* Whether what the metadata say is possible, and the tensors agree with it. */
static int check_description(const struct input *input, struct message *message)
{
    const struct arch *arch = &input->arch;
    uint64_t layer;

    if (arch->verdict == ARCH_WRONG)
        return message_fail(message, input->path, "%s.%s %s",
                            text_show((struct text){arch->name, strlen(arch->name)}).text,
                            arch->missing, arch->wrong);
    if (arch->verdict != ARCH_KNOWN || input->role != INPUT_MODEL)
        return 0;
    for (size_t i = 0; i < input->n_tensors; i++)
        if (layer_of(input->tensors[i].name, &layer) && layer >= arch->n_layers)
            return message_fail(message, input->path,
                                "tensor %s is of a layer beyond the last of %u",
                                text_show(input->tensors[i].name).text, arch->n_layers);
    return 0;
}

static int fill(struct input *input, struct message *message)
{
    struct gguf *gguf = NULL;
    uint64_t count;
    int r = gguf_open(input->path, message->text, sizeof(message->text), &gguf);

    if (r)
        return r;
    count = number_of(gguf, "split.count", 1);
    if (input_take_gguf(input, gguf))
        return message_no_memory(message);
    if (count > MAX_PARTS)
        return message_fail(message, input->path, "split.count is %" PRIu64 "; the limit is %d",
                            count, MAX_PARTS);
    if (count > 1)
        r = open_parts(input, count, message);
    if (r)
        return r;
    describe(input);
    return check_description(input, message);
}

int split_open(struct inputs *inputs, const char *path, struct message *message)
{
    struct input *input = input_new(path);
    int r = input ? fill(input, message) : message_no_memory(message);

    if (r) {
        input_free(input);
        return r;
    }
    return inputs_append(inputs, input, message);
}

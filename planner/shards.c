/* SPDX-License-Identifier: MIT */
/*
 * safetensors models, of one file or of several that an index names.
 *
 * An index maps each tensor to a file. It is a file from a stranger too: names of files have no
 * folder in them, so nothing outside of the index's own is opened (the files themselves may be
 * links, as they are in a download cache), and every tensor has to be where the index says. What it
 * says of sizes is compared, not believed.
 */
#include "planner/shards.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/bundle.h"
#include "planner/scan.h"
#include "planner/split.h"
#include "runtime/util.h"

enum {
    MAX_ENTRIES = 1 << 18,
    MAX_FILES = 10000,
};

struct entry {
    struct text file;
    struct text tensor;
};

struct index {
    struct entry *entries;
    size_t n, room;
    bool seen;
    bool has_total;
    uint64_t total;
};

/* What peft and diffusers call weights of an adapter. */
static bool is_adapters_file(const char *path)
{
    const char *name = basename(path);

    return strcmp(name, "adapter_model.safetensors") == 0 ||
           strcmp(name, "pytorch_lora_weights.safetensors") == 0;
}

int shards_fill_file(struct input *input, const char *path, struct message *message)
{
    struct safetensors *file = NULL;
    int r = safetensors_open(path, message->text, sizeof(message->text), &file);

    if (r)
        return r;
    input->format = "safetensors";
    if (input_take_safetensors(input, file) || input_append(input, file->tensors, file->n_tensors))
        return message_no_memory(message);
    if (input_is_adapter(input) || is_adapters_file(path))
        input->role = INPUT_ADAPTER;
    return 0;
}

static int fail_scan(const struct scan *scan, const char *path, struct message *message)
{
    return message_fail(message, path, "offset %zu: this index is no good JSON: %s", scan->wrong_at,
                        scan->wrong);
}

static int add_entry(struct index *index, struct entry entry)
{
    if (index->n == index->room) {
        size_t room = index->room ? 2 * index->room : 256;
        struct entry *grown = reallocarray(index->entries, room, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        index->entries = grown;
        index->room = room;
    }
    index->entries[index->n++] = entry;
    return 0;
}

static int take_map(struct scan *scan, struct index *index, const char *path,
                    struct message *message)
{
    struct entry entry;

    if (index->seen)
        return message_fail(message, path, "offset %zu: weight_map is there twice", scan->at);
    index->seen = true;
    scan_object(scan);
    while (scan_key(scan, &entry.tensor) && scan_text(scan, &entry.file)) {
        if (index->n == MAX_ENTRIES)
            return message_fail(message, path, "weight_map has more than %d tensors", MAX_ENTRIES);
        if (add_entry(index, entry))
            return message_no_memory(message);
    }
    return scan->wrong ? fail_scan(scan, path, message) : 0;
}

/* total_size is a hint, and some write it as a fraction. */
static void take_metadata(struct scan *scan, struct index *index)
{
    struct text key;

    scan_object(scan);
    while (scan_key(scan, &key)) {
        struct scan before = *scan;

        if (text_equal(key, "total_size") && scan_u64(scan, &index->total)) {
            index->has_total = true;
        } else {
            *scan = before;
            scan_skip(scan);
        }
    }
}

static int take_index(struct input *input, const char *path, struct index *index,
                      struct message *message)
{
    struct source *source = &input->index;
    struct scan scan = {.size = source->bytes};
    struct text key;
    int r = source_fill(source, source->bytes);

    if (r == -EFBIG)
        return message_fail(message, path, "this index is longer than %d MiB",
                            SOURCE_MAX_HEAD >> 20);
    if (r)
        return message_fail(message, path, "%s", strerror(-r));
    scan.text = (char *)source->head;
    scan_object(&scan);
    while (!r && scan_key(&scan, &key)) {
        if (text_equal(key, "weight_map"))
            r = take_map(&scan, index, path, message);
        else if (text_equal(key, "metadata"))
            take_metadata(&scan, index);
        else
            scan_skip(&scan);
    }
    if (!r && !scan_end(&scan))
        r = fail_scan(&scan, path, message);
    if (!r && index->n == 0)
        r = message_fail(message, path, "there is no weight_map with tensors in this index");
    return r;
}

static int by_file(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    int order = text_compare(x->file, y->file);

    return order ? order : text_compare(x->tensor, y->tensor);
}

static bool is_plain_name(struct text name)
{
    return name.size > 0 && name.size <= NAME_MAX && text_is_clean(name.data, name.size) &&
           !memchr(name.data, '/', name.size) && !text_equal(name, ".") && !text_equal(name, "..");
}

/* The tensors of a file that the index names, which must be in it. */
static int take_tensors(struct input *input, const struct safetensors *file, const char *path,
                        const struct entry *entries, size_t n, struct message *message)
{
    for (size_t i = 0; i < n; i++) {
        const struct tensor *tensor = safetensors_find(file, entries[i].tensor);

        if (!tensor)
            return message_fail(message, path,
                                "the index says that tensor %s is in this file; it is not",
                                text_show(entries[i].tensor).text);
        if (i && text_compare(entries[i - 1].tensor, entries[i].tensor) == 0)
            return message_fail(message, path, "the index names tensor %s twice",
                                text_show(entries[i].tensor).text);
        if (input_append(input, tensor, 1))
            return message_no_memory(message);
    }
    if (n < file->n_tensors)
        snprintf(input->remark, sizeof(input->remark),
                 "tensors that the index does not name are not counted");
    return 0;
}

static char *beside(const char *path, struct text name)
{
    const char *slash = strrchr(path, '/');
    char *joined;
    int n = slash ? (int)(slash - path) + 1 : 0;

    return asprintf(&joined, "%.*s%.*s", n, path, (int)name.size, name.data) < 0 ? NULL : joined;
}

static int open_shard(struct input *input, const char *index_path, const struct entry *entries,
                      size_t n, struct message *message)
{
    struct text name = entries[0].file;
    struct safetensors *file = NULL;
    char *path;
    int r;

    if (!is_plain_name(name))
        return message_fail(message, index_path,
                            "weight_map: \"%s\" is no name of a file beside the index",
                            text_show(name).text);
    path = beside(index_path, name);
    if (!path)
        return message_no_memory(message);
    r = safetensors_open(path, message->text, sizeof(message->text), &file);
    if (r == -ENOENT)
        r = message_fail(message, path, "the index names this file, which is missing; get it too");
    if (!r && input_take_safetensors(input, file))
        r = message_no_memory(message);
    else if (!r)
        r = take_tensors(input, file, path, entries, n, message);
    free(path);
    return r;
}

static int open_shards(struct input *input, const char *path, struct index *index,
                       struct message *message)
{
    uint64_t bytes = 0;
    int r = 0;

    qsort(index->entries, index->n, sizeof(*index->entries), by_file);
    for (size_t i = 0, n; i < index->n && !r; i += n) {
        for (n = 1; i + n < index->n; n++)
            if (text_compare(index->entries[i].file, index->entries[i + n].file) != 0)
                break;
        if (input->n_safetensors == MAX_FILES)
            return message_fail(message, path, "weight_map has more than %d files", MAX_FILES);
        r = open_shard(input, path, &index->entries[i], n, message);
    }
    r = r ? r : input_check_names(input, message);
    for (size_t i = 0; i < input->n_tensors; i++)
        bytes += input->tensors[i].bytes;
    if (!r && index->has_total && index->total != bytes)
        snprintf(input->remark, sizeof(input->remark),
                 "the index's total_size is %" PRIu64 "; its tensors have %" PRIu64 " bytes",
                 index->total, bytes);
    return r;
}

int shards_fill_index(struct input *input, const char *path, struct message *message)
{
    struct index index = {0};
    int r = source_open(path, message->text, sizeof(message->text), &input->index);

    if (r)
        return r;
    input->format = "safetensors";
    r = take_index(input, path, &index, message);
    source_close(&input->index);
    r = r ? r : open_shards(input, path, &index, message);
    free(index.entries);
    return r;
}

static int open_by(struct inputs *inputs, const char *path, struct message *message,
                   int (*fill)(struct input *, const char *, struct message *))
{
    struct input *input = input_new(path);
    int r = input ? fill(input, path, message) : message_no_memory(message);

    if (r) {
        input_free(input);
        return r;
    }
    return bundle_append(inputs, input, message);
}

int shards_open_file(struct inputs *inputs, const char *path, struct message *message)
{
    struct split_name name;

    if (split_parse(path, ".safetensors", &name) && name.count > 1)
        return message_fail(message, path,
                            "this is part %" PRIu64 " of %" PRIu64
                            "; name the folder, or the index "
                            "of the parts (*.safetensors.index.json)",
                            name.index, name.count);
    return open_by(inputs, path, message, shards_fill_file);
}

int shards_open_index(struct inputs *inputs, const char *path, struct message *message)
{
    return open_by(inputs, path, message, shards_fill_index);
}

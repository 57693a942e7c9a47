/* SPDX-License-Identifier: MIT */
/*
 * Reading safetensors files.
 *
 * One pass of a pull parser over the header's text, then two orders of the tensors: by offset,
 * which is where holes and overlaps are found, and by name, which is where duplicates are found and
 * what serves look-ups. The array grows with the tensors that were seen, never by a number that the
 * file claims.
 */
#include "planner/safetensors.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/safetensors_entry.h"
#include "planner/scan.h"
#include "runtime/util.h"

enum {
    PREFIX = sizeof(uint64_t),
    GUESS_BYTES = 512,
};

struct file {
    struct safetensors shown; /* first: a pointer to it is a pointer to this */
    struct source own;
    char *copy; /* of the header, for a file in memory */
    struct tensor *tensors;
    size_t n, room;
    const struct tensor **by_name;
};

/* What is being read, and where complaints go. */
struct job {
    const char *name;
    struct file *file;
    struct scan scan;
    uint64_t bytes; /* of the whole file */
    char *error;
    size_t error_size;
};

static const struct tensor_type types[] = {
#define TYPE(name, block_elements, block_bytes) {#name, block_elements, block_bytes},
#include "planner/safetensors_types.def"
};

const struct tensor_type *safetensors_type_find(struct text name)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (text_equal(name, types[i].name))
            return &types[i];
    return NULL;
}

__attribute__((format(printf, 3, 4))) static int fail(const struct job *job, uint64_t offset,
                                                      const char *format, ...)
{
    char reason[320], line[384];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    snprintf(line, sizeof(line), "offset %ju: %s", (uintmax_t)offset, reason);
    source_say(job->error, job->error_size, job->name, line);
    return -EINVAL;
}

/* Where a name of the header lies in the file. */
static uint64_t place_of(const struct job *job, struct text name)
{
    return PREFIX + (uint64_t)(name.data - job->scan.text);
}

static int fail_scan(const struct job *job)
{
    return fail(job, PREFIX + job->scan.wrong_at, "the header is no good JSON: %s",
                job->scan.wrong);
}

/* Elements, and bytes by shape and type. */
static int measure(const struct job *job, const struct entry *entry, struct tensor *tensor)
{
    uint64_t at = place_of(job, tensor->name);
    bool overflow = false;

    tensor->elements = 1;
    for (uint32_t i = 0; i < entry->n_dims; i++)
        overflow |= __builtin_mul_overflow(tensor->elements, entry->dims[i], &tensor->elements);
    overflow |= tensor->elements > INT64_MAX;
    if (overflow || __builtin_mul_overflow(tensor->elements / tensor->type->block_elements,
                                           tensor->type->block_bytes, &tensor->bytes))
        return fail(job, at, "tensor %s has too many elements", text_show(tensor->name).text);
    if (tensor->elements % tensor->type->block_elements)
        return fail(job, at, "tensor %s: %ju elements of type %s do not fill whole bytes",
                    text_show(tensor->name).text, (uintmax_t)tensor->elements, tensor->type->name);
    return 0;
}

static int convert(const struct job *job, const struct entry *entry, struct tensor *tensor)
{
    uint64_t at = place_of(job, tensor->name);
    struct text_shown name = text_show(tensor->name);
    int r;

    tensor->type = safetensors_type_find(entry->type);
    if (!tensor->type)
        return fail(job, at, "tensor %s: there is no type %s", name.text,
                    text_show(entry->type).text);
    r = measure(job, entry, tensor);
    if (r)
        return r;
    if (entry->end < entry->begin)
        return fail(job, at, "tensor %s ends at %ju, before it begins at %ju", name.text,
                    (uintmax_t)entry->end, (uintmax_t)entry->begin);
    if (entry->end - entry->begin != tensor->bytes)
        return fail(job, at, "tensor %s has %ju bytes of data; shape and type make %ju", name.text,
                    (uintmax_t)(entry->end - entry->begin), (uintmax_t)tensor->bytes);
    tensor->offset = entry->begin;
    tensor->n_dims = entry->n_dims;
    for (uint32_t i = 0; i < TENSOR_MAX_DIMS; i++)
        tensor->dims[i] = i < entry->n_dims ? entry->dims[entry->n_dims - 1 - i] : 1;
    return 0;
}

static int grow(struct file *file)
{
    size_t room = file->room ? 2 * file->room : 256;
    struct tensor *tensors;

    if (file->n < file->room)
        return 0;
    tensors = reallocarray(file->tensors, room, sizeof(*tensors));
    if (!tensors)
        return -ENOMEM;
    file->tensors = tensors;
    file->room = room;
    return 0;
}

static int check_name(const struct job *job, struct text name)
{
    uint64_t at = place_of(job, name);

    if (name.size == 0)
        return fail(job, at, "a tensor has no name");
    if (name.size > SAFETENSORS_MAX_NAME)
        return fail(job, at, "a tensor's name is %zu bytes long; the limit is %d", name.size,
                    SAFETENSORS_MAX_NAME);
    if (!text_is_clean(name.data, name.size))
        return fail(job, at, "tensor name \"%s\" has control characters", text_show(name).text);
    return 0;
}

static int take_tensor(struct job *job, struct text name)
{
    struct file *file = job->file;
    struct entry entry;
    int r = check_name(job, name);

    if (!r && file->n == SAFETENSORS_MAX_TENSORS)
        r = fail(job, place_of(job, name), "there are more than %d tensors",
                 SAFETENSORS_MAX_TENSORS);
    r = r ? r : grow(file);
    if (r)
        return r;
    if (!entry_take(&job->scan, &entry))
        return fail_scan(job);
    file->tensors[file->n] = (struct tensor){.name = name};
    r = convert(job, &entry, &file->tensors[file->n]);
    file->n += !r;
    return r;
}

/* Texts by name; what they say does not matter here. */
static int take_metadata(struct job *job, bool *seen)
{
    struct text key, value;

    if (*seen)
        return fail(job, PREFIX + job->scan.at, "__metadata__ is there twice");
    *seen = true;
    scan_object(&job->scan);
    while (scan_key(&job->scan, &key) && scan_text(&job->scan, &value))
        ;
    return job->scan.wrong ? fail_scan(job) : 0;
}

static int take_header(struct job *job)
{
    bool metadata = false;
    struct text key;
    int r = 0;

    scan_object(&job->scan);
    while (!r && scan_key(&job->scan, &key))
        r = text_equal(key, "__metadata__") ? take_metadata(job, &metadata) : take_tensor(job, key);
    if (!r && !scan_end(&job->scan))
        r = fail_scan(job);
    return r;
}

static int by_offset(const void *a, const void *b)
{
    const struct tensor *x = a;
    const struct tensor *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return x->name.data < y->name.data ? -1 : 1;
}

static int by_name(const void *a, const void *b)
{
    return text_compare((*(const struct tensor *const *)a)->name,
                        (*(const struct tensor *const *)b)->name);
}

/* Data follow each other from the end of the header to that of the file. */
static int check_places(struct job *job)
{
    uint64_t start = job->file->shown.data_offset;
    uint64_t at = 0, end = job->bytes - start;

    if (job->file->n)
        qsort(job->file->tensors, job->file->n, sizeof(*job->file->tensors), by_offset);
    for (size_t i = 0; i < job->file->n; i++) {
        struct tensor *tensor = &job->file->tensors[i];
        uint64_t place = place_of(job, tensor->name);

        if (tensor->offset < at)
            return fail(job, place, "tensor %s begins at %ju of the data, inside another one",
                        text_show(tensor->name).text, (uintmax_t)tensor->offset);
        if (tensor->offset > at)
            return fail(job, place, "tensor %s begins at %ju of the data; there is a hole from %ju",
                        text_show(tensor->name).text, (uintmax_t)tensor->offset, (uintmax_t)at);
        at = tensor->offset + tensor->bytes; /* no more than the file said, in 64 bits */
        if (at > end)
            return fail(job, place,
                        "tensor %s reaches beyond the end of the file; is the file complete?",
                        text_show(tensor->name).text);
        tensor->offset += start;
        tensor->source = job->file->own.path ? &job->file->own : NULL;
    }
    if (at < end)
        return fail(job, start + at, "%ju bytes follow behind the last tensor",
                    (uintmax_t)(end - at));
    return 0;
}

static int check_names(struct job *job)
{
    struct file *file = job->file;

    file->by_name = calloc(file->n + 1, sizeof(const struct tensor *));
    if (!file->by_name)
        return -ENOMEM;
    for (size_t i = 0; i < file->n; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->n, sizeof(*file->by_name), by_name);
    for (size_t i = 1; i < file->n; i++)
        if (by_name(&file->by_name[i - 1], &file->by_name[i]) == 0)
            return fail(job, place_of(job, file->by_name[i]->name), "tensor %s is there twice",
                        text_show(file->by_name[i]->name).text);
    return 0;
}

/* The header's text is at job->scan. */
static int read_header(struct job *job)
{
    struct file *file = job->file;
    int r;

    file->shown.file_bytes = job->bytes;
    file->shown.data_offset = PREFIX + job->scan.size;
    r = take_header(job);
    r = r ? r : check_places(job);
    r = r ? r : check_names(job);
    file->shown.tensors = file->tensors;
    file->shown.n_tensors = file->n;
    return r;
}

static uint64_t header_size(const void *data)
{
    uint64_t size;

    memcpy(&size, data, sizeof(size));
    return le64toh(size);
}

bool safetensors_begin(const void *data, size_t size, uint64_t file_bytes)
{
    const char *text = data;

    if (size > PREFIX && text[PREFIX] == '{')
        return true;
    return size >= PREFIX && header_size(data) <= file_bytes && header_size(data) > 0 &&
           !source_guess("", data, size);
}

/* What can be said of the file by its beginning, of which `seen` bytes are at `data`. */
static int check_start(const struct job *job, const void *data, size_t seen)
{
    const char *guess =
        safetensors_begin(data, seen, job->bytes) ? NULL : source_guess(job->name, data, seen);
    uint64_t size;

    if (job->bytes == 0)
        return fail(job, 0, "the file is empty; get it again");
    if (guess)
        return fail(job, 0, "%s", guess);
    if (job->bytes < PREFIX)
        return fail(job, 0, "the file has %ju bytes; a header's length alone has 8",
                    (uintmax_t)job->bytes);
    size = header_size(data);
    if (size > SAFETENSORS_MAX_HEADER)
        return fail(job, 0,
                    "a header of %ju bytes is beyond the format's limit of %d; this is no "
                    "safetensors file",
                    (uintmax_t)size, SAFETENSORS_MAX_HEADER);
    if (size > job->bytes - PREFIX)
        return fail(job, 0,
                    "a header of %ju bytes does not fit in a file of %ju; is the file "
                    "complete?",
                    (uintmax_t)size, (uintmax_t)job->bytes);
    if (size < 2 || ((const char *)data)[PREFIX] != '{')
        return fail(job, PREFIX, "the header does not begin with {; this is no safetensors file");
    return 0;
}

static int fail_fill(const struct job *job, int r)
{
    if (r == -EFBIG)
        return fail(job, 0, "the header is longer than %d MiB", SOURCE_MAX_HEAD >> 20);
    if (r == -ENODATA)
        return fail(job, 0, "the file became shorter while it was read");
    fail(job, 0, "%s", strerror(-r));
    return r;
}

static int read_source(struct job *job)
{
    struct source *own = &job->file->own;
    size_t seen = min_u64(own->bytes, GUESS_BYTES);
    int r = source_fill(own, seen);

    job->bytes = own->bytes;
    if (r)
        return fail_fill(job, r);
    r = check_start(job, own->head, seen);
    if (r)
        return r;
    job->scan.size = header_size(own->head);
    r = source_fill(own, PREFIX + job->scan.size);
    if (r)
        return fail_fill(job, r);
    job->scan.text = (char *)own->head + PREFIX;
    return read_header(job);
}

static int read_memory(struct job *job, const void *data, size_t size)
{
    int r;

    job->bytes = size;
    r = check_start(job, data, min_u64(size, GUESS_BYTES));
    if (r)
        return r;
    job->scan.size = header_size(data);
    job->file->copy = malloc(job->scan.size);
    if (!job->file->copy)
        return -ENOMEM;
    job->scan.text = memcpy(job->file->copy, (const char *)data + PREFIX, job->scan.size);
    return read_header(job);
}

static int finish(struct job *job, int r, struct safetensors **out)
{
    if (r == -ENOMEM)
        source_say(job->error, job->error_size, job->name, "out of memory");
    if (r) {
        safetensors_free(&job->file->shown);
        return r;
    }
    source_close(&job->file->own);
    *out = &job->file->shown;
    return 0;
}

static int start(struct job *job)
{
    job->file = calloc(1, sizeof(*job->file));
    if (!job->file) {
        source_say(job->error, job->error_size, job->name, "out of memory");
        return -ENOMEM;
    }
    job->file->own.fd = -1;
    return 0;
}

int safetensors_open(const char *path, char *error, size_t error_size, struct safetensors **out)
{
    struct job job = {.name = path, .error = error, .error_size = error_size};
    int r = start(&job);

    if (r)
        return r;
    r = source_open(path, error, error_size, &job.file->own);
    if (r) {
        free(job.file);
        return r;
    }
    return finish(&job, read_source(&job), out);
}

int safetensors_parse(const char *name, const void *data, size_t size, char *error,
                      size_t error_size, struct safetensors **out)
{
    struct job job = {.name = name, .error = error, .error_size = error_size};
    int r = start(&job);

    return r ? r : finish(&job, read_memory(&job, data, size), out);
}

struct safetensors *safetensors_free(struct safetensors *shown)
{
    struct file *file = (struct file *)shown;

    if (!file)
        return NULL;
    source_fini(&file->own);
    free(file->copy);
    free(file->tensors);
    free(file->by_name);
    free(file);
    return NULL;
}

const struct tensor *safetensors_find(const struct safetensors *shown, struct text name)
{
    const struct file *file = (const struct file *)shown;
    size_t low = 0, high = file->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = text_compare(file->by_name[middle]->name, name);

        if (order == 0)
            return file->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

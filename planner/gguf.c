/* SPDX-License-Identifier: MIT */
/*
 * Reading GGUF files.
 *
 * A file is one pass of a bounded reader (gguf_reader.c) over what a source gives it. What makes a
 * hostile file harmless beyond that:
 *
 *   - A count is compared with what the bytes left could hold at the least, and with a limit,
 *     before anything of that size is allocated.
 *   - Sizes of tensors are computed with overflow checks; a tensor must begin where the one before
 *     it ended, so tensors cannot overlap and cannot lie outside the file.
 *   - Duplicate names are found by sorting, the same index that serves look-ups: no hash that a
 *     file could be made to collide in.
 *
 * Strictness follows ggml, which is what users' files have met before they meet this reader, with
 * two differences: a tensor type unknown here is listed, with its size taken from the next tensor's
 * offset; and names may be longer than ggml's default build allows.
 */
#include "planner/gguf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "planner/gguf_reader.h"
#include "runtime/util.h"

enum {
    MIN_ENTRY_BYTES = 8 + 1 + 4 + 1,
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 4 + 8,
    DEFAULT_ALIGNMENT = 32,
    GUESS_BYTES = 512,
};

struct gguf_file {
    struct gguf gguf;  /* first: a pointer to it is a pointer to this */
    struct source own; /* by gguf_open(); else there is no path in it */
    struct gguf_entry *entries;
    struct tensor *tensors;
    const struct text **entries_by_key; /* each the first member of its entry or tensor */
    const struct text **tensors_by_name;
};

static int reader_entry(struct reader *reader, struct gguf_entry *out)
{
    int r = reader_name(reader, "key", GGUF_MAX_KEY, &out->key);

    return r ? r : reader_value(reader, &out->value);
}

/* Elements and, for a known type, bytes. */
static int tensor_measure(struct reader *reader, size_t start, struct tensor *tensor)
{
    bool overflow = false;

    tensor->elements = 1;
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        overflow |= __builtin_mul_overflow(tensor->elements, tensor->dims[i], &tensor->elements);
    if (overflow || tensor->elements > INT64_MAX) {
        return reader_fail(reader, start, "tensor %s has too many elements",
                           text_show(tensor->name).text);
    }
    if (!tensor->type)
        return 0;
    if (tensor->dims[0] % tensor->type->block_elements) {
        return reader_fail(reader, start, "tensor %s: %ju is no multiple of %s's block of %u",
                           text_show(tensor->name).text, (uintmax_t)tensor->dims[0],
                           tensor->type->name, tensor->type->block_elements);
    }
    if (__builtin_mul_overflow(tensor->elements / tensor->type->block_elements,
                               tensor->type->block_bytes, &tensor->bytes)) {
        return reader_fail(reader, start, "tensor %s has too many bytes",
                           text_show(tensor->name).text);
    }
    return 0;
}

static int reader_dims(struct reader *reader, struct tensor *tensor)
{
    size_t start = reader->at;
    int r = reader_u32(reader, "number of dimensions", &tensor->n_dims);

    if (r)
        return r;
    if (tensor->n_dims > GGUF_MAX_DIMS) {
        return reader_fail(reader, start, "tensor %s has %u dimensions; the limit is %d",
                           text_show(tensor->name).text, tensor->n_dims, GGUF_MAX_DIMS);
    }
    for (uint32_t i = 0; i < TENSOR_MAX_DIMS; i++) {
        tensor->dims[i] = 1;
        start = reader->at;
        if (i < tensor->n_dims)
            r = reader_u64(reader, "dimension", &tensor->dims[i]);
        if (r)
            return r;
        if (tensor->dims[i] > INT64_MAX) {
            return reader_fail(reader, start, "tensor %s has a negative dimension",
                               text_show(tensor->name).text);
        }
    }
    return 0;
}

/* `offset` is left relative to the data section, which is not known yet. */
static int reader_tensor(struct reader *reader, uint32_t alignment, struct tensor *out)
{
    size_t start = reader->at;
    int r = reader_name(reader, "tensor name", GGUF_MAX_NAME, &out->name);

    if (!r)
        r = reader_dims(reader, out);
    if (!r)
        r = reader_u32(reader, "tensor type", &out->type_id);
    if (!r)
        r = reader_u64(reader, "tensor offset", &out->offset);
    if (r)
        return r;
    out->type = gguf_type_find(out->type_id);
    if (!is_aligned(out->offset, alignment)) {
        return reader_fail(reader, start, "tensor %s: offset %ju is no multiple of %u",
                           text_show(out->name).text, (uintmax_t)out->offset, alignment);
    }
    return tensor_measure(reader, start, out);
}

static int compare_names(const void *a, const void *b)
{
    return text_compare(**(const struct text *const *)a, **(const struct text *const *)b);
}

/* Sorts the names found every `stride` bytes from `first`; refuses two that are equal. */
static int index_build(struct reader *reader, const char *what, const void *first, size_t count,
                       size_t stride, const struct text **index)
{
    for (size_t i = 0; i < count; i++)
        index[i] = (const struct text *)((const char *)first + i * stride);
    qsort(index, count, sizeof(*index), compare_names);
    for (size_t i = 1; i < count; i++) {
        if (compare_names(&index[i - 1], &index[i]) == 0) {
            return reader_fail(reader, (size_t)((const uint8_t *)index[i]->data - reader->data),
                               "%s %s is there twice", what, text_show(*index[i]).text);
        }
    }
    return 0;
}

static int read_entries(struct reader *reader, struct gguf_file *file, uint64_t count)
{
    int r = 0;

    file->entries = calloc(count + 1, sizeof(*file->entries));
    file->entries_by_key = calloc(count + 1, sizeof(*file->entries_by_key));
    if (!file->entries || !file->entries_by_key)
        return -ENOMEM;
    for (uint64_t i = 0; i < count && !r; i++)
        r = reader_entry(reader, &file->entries[i]);
    if (r)
        return r;
    file->gguf.entries = file->entries;
    file->gguf.n_entries = count;
    return index_build(reader, "key", file->entries, count, sizeof(*file->entries),
                       file->entries_by_key);
}

static int read_alignment(struct reader *reader, struct gguf_file *file)
{
    const struct gguf_entry *entry = gguf_entry_find(&file->gguf, "general.alignment");
    uint64_t value = DEFAULT_ALIGNMENT;

    if (entry && entry->value.kind != GGUF_U32) {
        return reader_fail(reader, (size_t)((const uint8_t *)entry->key.data - reader->data),
                           "general.alignment is of type %s, not u32",
                           gguf_kind_name(entry->value.kind));
    }
    if (entry)
        value = entry->value.u;
    if (value == 0 || value > GGUF_MAX_ALIGNMENT || !is_aligned(value, value)) {
        return reader_fail(reader, (size_t)((const uint8_t *)entry->key.data - reader->data),
                           "general.alignment is %ju; it must be a power of two up to %d",
                           (uintmax_t)value, GGUF_MAX_ALIGNMENT);
    }
    file->gguf.alignment = (uint32_t)value;
    return 0;
}

static int read_tensors(struct reader *reader, struct gguf_file *file, uint64_t count)
{
    int r = 0;

    file->tensors = calloc(count + 1, sizeof(*file->tensors));
    file->tensors_by_name = calloc(count + 1, sizeof(*file->tensors_by_name));
    if (!file->tensors || !file->tensors_by_name)
        return -ENOMEM;
    for (uint64_t i = 0; i < count && !r; i++)
        r = reader_tensor(reader, file->gguf.alignment, &file->tensors[i]);
    if (r)
        return r;
    file->gguf.tensors = file->tensors;
    file->gguf.n_tensors = count;
    return index_build(reader, "tensor", file->tensors, count, sizeof(*file->tensors),
                       file->tensors_by_name);
}

/* Where tensor i + 1 must begin, relative to the data section, or where the file ends. */
static int place_end(const struct gguf_file *file, size_t i, uint64_t data_bytes, uint64_t *out)
{
    const struct tensor *tensor = &file->tensors[i];
    uint64_t end;

    if (!tensor->type) {
        *out = i + 1 < file->gguf.n_tensors ? file->tensors[i + 1].offset : data_bytes;
        return *out < tensor->offset || *out > data_bytes ? -ERANGE : 0;
    }
    if (__builtin_add_overflow(tensor->offset, tensor->bytes, &end) || end > data_bytes)
        return -ERANGE;
    *out = align_up(end, file->gguf.alignment);
    return 0;
}

/* Holds tensors against the data section; makes their offsets ones from the file's beginning. */
static int place_tensors(struct reader *reader, struct gguf_file *file)
{
    struct gguf *gguf = &file->gguf;
    uint64_t expected = 0, data_bytes;

    gguf->data_offset = align_up(reader->at, gguf->alignment);
    if (gguf->data_offset > gguf->file_bytes)
        gguf->data_offset = gguf->file_bytes; /* only possible where no tensor has any bytes */
    data_bytes = gguf->file_bytes - gguf->data_offset;
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        struct tensor *tensor = &file->tensors[i];
        size_t at = (size_t)((const uint8_t *)tensor->name.data - reader->data);

        if (tensor->offset != expected) {
            return reader_fail(reader, at, "tensor %s is at %ju of the data section, not at %ju",
                               text_show(tensor->name).text, (uintmax_t)tensor->offset,
                               (uintmax_t)expected);
        }
        if (place_end(file, i, data_bytes, &expected)) {
            return reader_fail(
                reader, at, "tensor %s reaches beyond the end of the file; is the file complete?",
                text_show(tensor->name).text);
        }
        if (!tensor->type)
            tensor->bytes = expected - tensor->offset;
        tensor->offset += gguf->data_offset;
        tensor->source = reader->source;
    }
    gguf->unused = data_bytes > expected ? data_bytes - expected : 0;
    return 0;
}

static int read_start(struct reader *reader)
{
    size_t seen = min_u64(reader->size, GUESS_BYTES);
    const char *guess;
    int r = reader->source ? source_fill(reader->source, seen) : 0;

    if (r)
        return reader_fail(reader, 0, "%s", strerror(-r));
    if (seen == 0)
        return reader_fail(reader, 0, "the file is empty; get it again");
    if (seen >= 4 && memcmp(reader->data, "GGUF", 4) == 0)
        return 0;
    guess = source_guess(reader->name, reader->data, seen);
    return reader_fail(reader, 0, "%s", guess ? guess : "this is not a GGUF file");
}

static int read_version(struct reader *reader, uint32_t *out)
{
    const uint8_t *magic = NULL;
    uint32_t version = 0;
    int r;

    r = read_start(reader);
    if (!r)
        r = reader_take(reader, 4, "magic", &magic);
    if (!r)
        r = reader_u32(reader, "version", &version);
    if (r)
        return r;
    if (version && (version & 0xffff) == 0)
        return reader_fail(reader, 4, "this GGUF file was written for a big-endian machine");
    if (version != 2 && version != 3) {
        return reader_fail(reader, 4, "GGUF version %u is not supported; 2 and 3 are",
                           (unsigned int)version);
    }
    *out = version;
    return 0;
}

static int read_count(struct reader *reader, const char *what, uint64_t limit, unsigned int least,
                      uint64_t *out)
{
    size_t start = reader->at;
    uint64_t count = 0;
    int r = reader_u64(reader, what, &count);

    if (r)
        return r;
    if (count > reader_left(reader) / least) {
        return reader_fail(reader, start, "%s %ju is more than the file can hold", what,
                           (uintmax_t)count);
    }
    if (count > limit) {
        return reader_fail(reader, start, "%s %ju is beyond the limit of %ju", what,
                           (uintmax_t)count, (uintmax_t)limit);
    }
    *out = count;
    return 0;
}

static int read_file(struct reader *reader, struct gguf_file *file)
{
    uint64_t n_tensors = 0, n_entries = 0;
    int r = read_version(reader, &file->gguf.version);

    if (!r)
        r = read_count(reader, "tensor count", GGUF_MAX_TENSORS, MIN_TENSOR_BYTES, &n_tensors);
    if (!r)
        r = read_count(reader, "key count", GGUF_MAX_ENTRIES, MIN_ENTRY_BYTES, &n_entries);
    if (!r)
        r = read_entries(reader, file, n_entries);
    if (!r)
        r = read_alignment(reader, file);
    if (!r)
        r = read_tensors(reader, file, n_tensors);
    if (!r)
        r = place_tensors(reader, file);
    return r;
}

static struct gguf_file *file_new(void)
{
    struct gguf_file *file = calloc(1, sizeof(*file));

    if (file)
        file->own.fd = -1;
    return file;
}

/* Owns `file`, which may be NULL. */
static int parse(struct reader *reader, struct gguf_file *file, struct gguf **out)
{
    int r = -ENOMEM;

    if (file) {
        file->gguf.source = reader->source;
        file->gguf.file_bytes = reader->size;
        r = read_file(reader, file);
    }
    if (r == -ENOMEM)
        source_say(reader->error, reader->error_size, reader->name, "out of memory");
    if (r) {
        gguf_free(file ? &file->gguf : NULL);
        return r;
    }
    *out = &file->gguf;
    return 0;
}

int gguf_parse(const char *name, const void *data, size_t size, char *error, size_t error_size,
               struct gguf **out)
{
    struct reader reader = {
        .name = name, .data = data, .size = size, .error = error, .error_size = error_size};

    return parse(&reader, file_new(), out);
}

int gguf_open(const char *path, char *error, size_t error_size, struct gguf **out)
{
    struct gguf_file *file = file_new();
    struct reader reader = {.name = path, .error = error, .error_size = error_size};
    int r = file ? source_open(path, error, error_size, &file->own) : 0;

    if (r) {
        free(file);
        return r;
    }
    if (file) {
        reader.source = &file->own;
        reader.data = file->own.head;
        reader.size = file->own.bytes;
    }
    r = parse(&reader, file, out);
    if (!r)
        source_close(&file->own);
    return r;
}

struct gguf *gguf_free(struct gguf *gguf)
{
    struct gguf_file *file = (struct gguf_file *)gguf;

    if (!file)
        return NULL;
    source_fini(&file->own);
    free(file->entries);
    free(file->tensors);
    free(file->entries_by_key);
    free(file->tensors_by_name);
    free(file);
    return NULL;
}

static const void *find(const struct text *const *index, size_t count, const char *name)
{
    const struct text key = {.data = name, .size = strlen(name)};
    const struct text *key_pointer = &key;
    const struct text *const *found = NULL;

    if (count)
        found = bsearch(&key_pointer, index, count, sizeof(*index), compare_names);
    return found ? *found : NULL;
}

const struct gguf_entry *gguf_entry_find(const struct gguf *gguf, const char *key)
{
    const struct gguf_file *file = (const struct gguf_file *)gguf;

    return find(file->entries_by_key, gguf->n_entries, key);
}

const struct tensor *gguf_tensor_find(const struct gguf *gguf, const char *name)
{
    const struct gguf_file *file = (const struct gguf_file *)gguf;

    return find(file->tensors_by_name, gguf->n_tensors, name);
}

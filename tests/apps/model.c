/* SPDX-License-Identifier: MIT */
/*
 * A GGUF model on the device.
 *
 * Tensors are looked up, with their shapes checked, before any device memory is asked for, so that
 * a file of the wrong kind is told apart from a card that is too small.
 */
#include "tests/apps/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "planner/text.h"

struct name {
    char text[128];
};

static struct name shown(struct text string)
{
    struct name name;

    text_escape(string.data, string.size, name.text, sizeof(name.text));
    return name;
}

static struct name key_of(const struct model *model, const char *name)
{
    struct name key;

    snprintf(key.text, sizeof(key.text), "%s.%s", model->architecture, name);
    return key;
}

static void map_file(struct model *model)
{
    int fd = open(model->path, O_RDONLY | O_CLOEXEC);
    void *bytes = mmap(NULL, model->gguf->file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);

    if (fd < 0 || bytes == MAP_FAILED)
        gpu_die(model->gpu, "%s: %s", model->path, strerror(errno));
    close(fd);
    model->bytes = bytes;
}

void model_open(struct model *model, const struct gpu *gpu, const char *path,
                const char *architecture)
{
    struct text found = {.data = "", .size = 0};
    char error[1024];

    *model = (struct model){.gpu = gpu, .path = path, .architecture = architecture};
    if (gguf_open(path, error, sizeof(error), &model->gguf))
        gpu_die(gpu, "%s", error);
    (void)gguf_get_string(model->gguf, "general.architecture", &found);
    if (!text_equal(found, architecture)) {
        gpu_die(gpu, "%s: general.architecture is \"%s\"; this program runs \"%s\"", path,
                shown(found).text, architecture);
    }
    map_file(model);
    model->used = calloc(model->gguf->n_tensors + 1, sizeof(*model->used));
    model->addresses = calloc(model->gguf->n_tensors + 1, sizeof(*model->addresses));
    if (!model->used || !model->addresses)
        gpu_die(gpu, "out of memory");
}

void model_close(struct model *model)
{
    if (model->slab)
        gpu_free(model->gpu, model->slab);
    for (size_t i = 0; i < model->gguf->n_tensors && !model->slab; i++) {
        if (model->addresses[i])
            gpu_free(model->gpu, model->addresses[i]);
    }
    free(model->used);
    free(model->addresses);
    munmap((void *)model->bytes, model->gguf->file_bytes);
    model->gguf = gguf_free(model->gguf);
}

uint64_t model_u64_or(const struct model *model, const char *name, uint64_t limit,
                      uint64_t fallback)
{
    struct name key = key_of(model, name);
    uint64_t value = fallback;

    if (gguf_entry_find(model->gguf, key.text) && gguf_get_u64(model->gguf, key.text, &value))
        gpu_die(model->gpu, "%s: %s is not a whole number", model->path, key.text);
    if (value < 1 || value > limit) {
        gpu_die(model->gpu, "%s: %s is %ju; it must be from 1 to %ju", model->path, key.text,
                (uintmax_t)value, (uintmax_t)limit);
    }
    return value;
}

static void require(const struct model *model, const char *name)
{
    struct name key = key_of(model, name);

    if (!gguf_entry_find(model->gguf, key.text))
        gpu_die(model->gpu, "%s: there is no %s", model->path, key.text);
}

uint64_t model_u64(const struct model *model, const char *name, uint64_t limit)
{
    require(model, name);
    return model_u64_or(model, name, limit, 1);
}

double model_f64_or(const struct model *model, const char *name, double fallback)
{
    struct name key = key_of(model, name);
    double value = fallback;

    if (gguf_entry_find(model->gguf, key.text) && gguf_get_f64(model->gguf, key.text, &value))
        gpu_die(model->gpu, "%s: %s is not a number", model->path, key.text);
    return value;
}

double model_f64(const struct model *model, const char *name)
{
    require(model, name);
    return model_f64_or(model, name, 0);
}

static const struct tensor *tensor_find(struct model *model, uint64_t columns, uint64_t rows,
                                        const char *name)
{
    const struct tensor *tensor = gguf_tensor_find(model->gguf, name);

    if (!tensor)
        return NULL;
    if (tensor->dims[0] != columns || tensor->dims[1] != (rows ? rows : 1) ||
        tensor->elements != columns * (rows ? rows : 1)) {
        gpu_die(model->gpu, "%s: tensor %s is %ju x %ju, not %ju x %ju", model->path, name,
                (uintmax_t)tensor->dims[0], (uintmax_t)tensor->dims[1], (uintmax_t)columns,
                (uintmax_t)(rows ? rows : 1));
    }
    model->used[tensor - model->gguf->tensors] = true;
    return tensor;
}

const struct tensor *model_tensor_or_null(struct model *model, uint64_t columns, uint64_t rows,
                                          const char *format, ...)
{
    struct name name;
    va_list args;

    va_start(args, format);
    vsnprintf(name.text, sizeof(name.text), format, args);
    va_end(args);
    return tensor_find(model, columns, rows, name.text);
}

const struct tensor *model_tensor(struct model *model, uint64_t columns, uint64_t rows,
                                  const char *format, ...)
{
    const struct tensor *tensor;
    struct name name;
    va_list args;

    va_start(args, format);
    vsnprintf(name.text, sizeof(name.text), format, args);
    va_end(args);
    tensor = tensor_find(model, columns, rows, name.text);
    if (!tensor)
        gpu_die(model->gpu, "%s: there is no tensor %s", model->path, name.text);
    return tensor;
}

void model_check_all_used(const struct model *model)
{
    for (size_t i = 0; i < model->gguf->n_tensors; i++) {
        if (!model->used[i]) {
            gpu_die(model->gpu, "%s: tensor %s has no place in the %s models this program runs",
                    model->path, shown(model->gguf->tensors[i].name).text, model->architecture);
        }
    }
}

/* One allocation that mirrors the file's data section, padding included. */
static void place_in_slab(struct model *model)
{
    const struct gguf *gguf = model->gguf;
    const struct tensor *last = &gguf->tensors[gguf->n_tensors - 1];

    model->slab =
        gpu_alloc(model->gpu, last->offset + last->bytes - gguf->data_offset, "the weights");
    for (size_t i = 0; i < gguf->n_tensors; i++)
        model->addresses[i] = model->slab + (gguf->tensors[i].offset - gguf->data_offset);
}

void model_upload(struct model *model, enum model_layout layout)
{
    const struct gguf *gguf = model->gguf;

    if (layout == MODEL_SLAB)
        place_in_slab(model);
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        const struct tensor *tensor = &gguf->tensors[i];

        if (layout == MODEL_PER_TENSOR)
            model->addresses[i] = gpu_alloc(model->gpu, tensor->bytes, shown(tensor->name).text);
        gpu_upload(model->gpu, model->addresses[i], model_data(model, tensor), tensor->bytes);
    }
}

const void *model_data(const struct model *model, const struct tensor *tensor)
{
    return model->bytes + tensor->offset;
}

CUdeviceptr model_at(const struct model *model, const struct tensor *tensor)
{
    return model->addresses[tensor - model->gguf->tensors];
}

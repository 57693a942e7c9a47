/* SPDX-License-Identifier: MIT */
/*
 * What a model file holds, as JSON. Sizes are bytes, exact; names are as in the file where they are
 * clean text, else escaped as in the text, because JSON has no other bytes than valid UTF-8.
 */
#include "planner/report.h"

#include <jansson.h>
#include <string.h>

#include "planner/text.h"

#define SHOWN_TEXT 4096

static json_t *text_json(const char *data, size_t size)
{
    char escaped[SHOWN_TEXT];

    if (text_is_clean(data, size))
        return json_stringn(data, size);
    return json_string(text_escape(data, size, escaped, sizeof(escaped)));
}

static json_t *said_json(struct text text)
{
    return text.data ? text_json(text.data, text.size) : json_null();
}

static json_t *shares_json(const struct share *shares, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        if (shares[i].n_tensors)
            json_array_append_new(array, json_pack("{s:s, s:I, s:I}", "name", shares[i].name,
                                                   "tensors", (json_int_t)shares[i].n_tensors,
                                                   "bytes", (json_int_t)shares[i].bytes));
    return array;
}

static json_t *tensor_json(const struct tensor *tensor)
{
    json_t *dims;

    if (!tensor)
        return json_null();
    dims = json_array();
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        json_array_append_new(dims, json_integer(tensor->dims[i]));
    return json_pack("{s:o, s:s, s:o, s:I}", "name",
                     text_json(tensor->name.data, tensor->name.size), "type",
                     tensor->type ? tensor->type->name : "unknown", "dims", dims, "bytes",
                     (json_int_t)tensor->bytes);
}

json_t *report_part_json(const struct model *model)
{
    const struct input *input = model->input;

    return json_pack("{s:s, s:o, s:s, s:I, s:I, s:I}", "role", input_role_name(input->role), "file",
                     text_json(input->path, strlen(input->path)), "format", input->format, "files",
                     (json_int_t)input->n_files, "tensors", (json_int_t)input->n_tensors, "bytes",
                     (json_int_t)model->bytes);
}

json_t *report_json(const char *path, const struct model *model)
{
    const struct input *input = model->input;

    return json_pack("{s:o, s:s, s:o, s:I, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:I, s:o}", "file",
                     text_json(path, strlen(path)), "format", input->format, "version",
                     input->version ? json_integer(input->version) : json_null(), "file_bytes",
                     (json_int_t)input->file_bytes, "name", said_json(input->name), "architecture",
                     said_json(input->architecture), "tensors", (json_int_t)input->n_tensors,
                     "bytes", (json_int_t)model->bytes, "types",
                     shares_json(model->types, model->n_types), "roles",
                     shares_json(model->roles, ROLE_COUNT), "largest", tensor_json(model->largest),
                     "parts", (json_int_t)input->n_files, "note",
                     input->remark[0] ? json_string(input->remark) : json_null());
}

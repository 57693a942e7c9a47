/* SPDX-License-Identifier: MIT */
/* What a model file holds, as text. */
#include "planner/report.h"

#include <inttypes.h>
#include <string.h>

#include "planner/text.h"
#include "runtime/util.h"

#define SHOWN_TEXT 200

static const char *string_of(struct text text, char out[SHOWN_TEXT])
{
    return text.data ? text_escape(text.data, text.size, out, SHOWN_TEXT) : "(not said)";
}

static void print_format(const struct input *input, FILE *out)
{
    char size[32];

    fprintf(out, "  format        %s", input->format);
    if (input->version)
        fprintf(out, " version %" PRIu32, input->version);
    if (input->n_files > 1)
        fprintf(out, " in %zu files", input->n_files);
    fprintf(out, ", %s\n", text_size(input->file_bytes, size));
}

static void print_shares(const char *title, const struct share *shares, size_t n, uint64_t total,
                         FILE *out)
{
    fprintf(out, "\n%-14s %8s %12s %7s\n", title, "tensors", "size", "share");
    for (size_t i = 0; i < n; i++) {
        char size[32];

        if (shares[i].n_tensors == 0)
            continue;
        fprintf(out, "  %-12s %8zu %12s %6.1f%%\n", shares[i].name, shares[i].n_tensors,
                text_size(shares[i].bytes, size), total ? 100.0 * shares[i].bytes / total : 0);
    }
}

static void print_largest(const struct tensor *tensor, FILE *out)
{
    char name[SHOWN_TEXT];
    char size[32];

    if (!tensor)
        return;
    fprintf(out, "\nlargest tensor  %s  %s  [",
            text_escape(tensor->name.data, tensor->name.size, name, sizeof(name)),
            tensor->type ? tensor->type->name : "of unknown type");
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        fprintf(out, "%s%" PRIu64, i ? ", " : "", tensor->dims[i]);
    fprintf(out, "]  %s\n", text_size(tensor->bytes, size));
}

void report_print(const char *path, const struct model *model, FILE *out)
{
    char text[SHOWN_TEXT];
    char size[32];

    fprintf(out, "%s\n", text_escape(path, strlen(path), text, sizeof(text)));
    print_format(model->input, out);
    fprintf(out, "  name          %s\n", string_of(model->input->name, text));
    fprintf(out, "  architecture  %s\n", string_of(model->input->architecture, text));
    fprintf(out, "  weights       %zu tensors, %s\n", model->input->n_tensors,
            text_size(model->bytes, size));
    if (model->input->remark[0])
        fprintf(out, "  note          %s\n", model->input->remark);
}

void report_print_part(const struct model *model, FILE *out)
{
    const struct input *input = model->input;
    char path[SHOWN_TEXT], size[32];

    fprintf(out, "  %-13s %s, %zu tensors, %s\n", input_role_name(input->role),
            text_escape(input->path, strlen(input->path), path, sizeof(path)), input->n_tensors,
            text_size(model->bytes, size));
    if (input->remark[0])
        fprintf(out, "  note          %s\n", input->remark);
}

void report_print_shares(const struct model *model, FILE *out)
{
    print_shares("by type", model->types, model->n_types, model->bytes, out);
    print_shares("by role", model->roles, ROLE_COUNT, model->bytes, out);
    print_largest(model->largest, out);
}

/* SPDX-License-Identifier: MIT */
/* What a model file holds, as text. */
#include "planner/report.h"

#include <inttypes.h>
#include <string.h>

#include "planner/text.h"
#include "runtime/util.h"

#define SHOWN_TEXT 200

static const char *string_of(const struct model *model, const char *key, char out[SHOWN_TEXT])
{
    struct text string;

    if (gguf_get_string(model->gguf, key, &string) != 0)
        return "(not said)";
    return text_escape(string.data, string.size, out, SHOWN_TEXT);
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
    fprintf(out, "  format        GGUF version %" PRIu32 ", %s\n", model->gguf->version,
            text_size(model->gguf->file_bytes, size));
    fprintf(out, "  name          %s\n", string_of(model, "general.name", text));
    fprintf(out, "  architecture  %s\n", string_of(model, "general.architecture", text));
    fprintf(out, "  weights       %zu tensors, %s\n", model->gguf->n_tensors,
            text_size(model->bytes, size));
    if (model->parts > 1)
        fprintf(out,
                "  this file is one of %" PRIu64 " parts; the figures are for this part alone\n",
                model->parts);
}

void report_print_shares(const struct model *model, FILE *out)
{
    print_shares("by type", model->types, model->n_types, model->bytes, out);
    print_shares("by role", model->roles, ROLE_COUNT, model->bytes, out);
    print_largest(model->largest, out);
}

/* SPDX-License-Identifier: MIT */
/*
 * The report as text. It says what it does not know: a figure that looks like a promise about speed
 * or peak memory would be worse than none.
 */
#include "planner/report.h"

#include <inttypes.h>
#include <string.h>

#include "planner/text.h"
#include "runtime/util.h"

#define SHOWN_TEXT 200

/* "45.2 MiB"; one digit is enough to compare by eye, exact figures are in the JSON. */
static const char *size_text(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

static const char *string_of(const struct model *model, const char *key, char out[SHOWN_TEXT])
{
    struct gguf_string string;

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
                size_text(shares[i].bytes, size), total ? 100.0 * shares[i].bytes / total : 0);
    }
}

static void print_largest(const struct gguf_tensor *tensor, FILE *out)
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
    fprintf(out, "]  %s\n", size_text(tensor->bytes, size));
}

static void print_facts(const struct report *report, FILE *out)
{
    const struct model *model = report->model;
    char text[SHOWN_TEXT];
    char size[32];

    fprintf(out, "%s\n", text_escape(report->path, strlen(report->path), text, sizeof(text)));
    fprintf(out, "  format        GGUF version %" PRIu32 ", %s\n", model->gguf->version,
            size_text(model->gguf->file_bytes, size));
    fprintf(out, "  name          %s\n", string_of(model, "general.name", text));
    fprintf(out, "  architecture  %s\n", string_of(model, "general.architecture", text));
    fprintf(out, "  weights       %zu tensors, %s\n", model->gguf->n_tensors,
            size_text(model->bytes, size));
    print_shares("by type", model->types, model->n_types, model->bytes, out);
    print_shares("by role", model->roles, ROLE_COUNT, model->bytes, out);
    print_largest(model->largest, out);
}

static void print_verdict(const struct report *report, FILE *out)
{
    const struct fit *fit = &report->fit;
    char vram[32], ram[32], device[32], host[32], excess[32];

    size_text(report->budget.vram, vram);
    size_text(report->budget.ram, ram);
    size_text(fit->device_bytes, device);
    size_text(fit->host_bytes, host);
    size_text(fit->short_bytes, excess);
    switch (fit->verdict) {
    case FIT_UNKNOWN:
        fprintf(out, "\nfit             not judged: say how much device memory there is with "
                     "--vram SIZE\n");
        return;
    case FIT_DEVICE:
        fprintf(out, "\nfit             yes, in device memory alone: %s of %s\n", device, vram);
        return;
    case FIT_BOTH_TIERS:
        fprintf(out,
                "\nfit             yes, with host memory: %s in device memory, which they fill,\n"
                "                and %s of %s in host memory\n",
                device, host, ram);
        return;
    case FIT_NOT:
        fprintf(out,
                "\nfit             no: %s of device memory and %s of host memory are %s too few\n",
                vram, ram, excess);
        return;
    }
}

static void print_command(const struct report *report, FILE *out)
{
    if (report->fit.verdict != FIT_DEVICE && report->fit.verdict != FIT_BOTH_TIERS)
        return;
    fprintf(out, "\nsettings        VRAMSHIM_VRAM=%s", report->vram_text);
    if (report->ram_text)
        fprintf(out, " VRAMSHIM_RAM=%s", report->ram_text);
    fprintf(out, "\nto run it       vramshim run --vram %s", report->vram_text);
    if (report->ram_text)
        fprintf(out, " --ram %s", report->ram_text);
    fputs(" -- program arguments\n", out);
}

void report_print(const struct report *report, FILE *out)
{
    print_facts(report, out);
    if (report->model->parts > 1)
        fprintf(out,
                "\nthis file is one of %" PRIu64 " parts; the figures are for this part alone\n",
                report->model->parts);
    print_verdict(report, out);
    print_command(report, out);
    fputs(
        "\nOnly the weights are counted: the program's own buffers, its key-value cache and the "
        "driver's context\ncome on top. This version predicts no speed and writes no plan file.\n",
        out);
}

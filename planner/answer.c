/* SPDX-License-Identifier: MIT */
/*
 * The answer as text: what is needed, what there is, what to do, and why not otherwise.
 *
 * Times are ranges and every row names the one thing that bounds it. What does not fit says what is
 * missing and what would make it fit.
 */
#include "planner/answer.h"

#include <inttypes.h>
#include <string.h>

#include "planner/guide.h"
#include "planner/layers.h"
#include "planner/premises.h"
#include "planner/text.h"
#include "planner/warning.h"
#include "runtime/util.h"

#define SHOWN_TEXT 200

static const char *pass_name(const struct subject *s)
{
    static const char *const names[] = {
        [SUBJECT_LANGUAGE] = "token",
        [SUBJECT_ENCODER] = "batch",
        [SUBJECT_IMAGE] = "step",
    };

    return names[s->kind];
}

/* "12.3 .. 25.6 ms" */
static const char *range_text(double low, double high, char out[48])
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1, "s"}, {1e-3, "ms"}, {0, "us"}};
    size_t i = 0;

    while (i + 1 < ARRAY_SIZE(units) && high < units[i].unit)
        i++;
    if (units[i].unit == 0)
        snprintf(out, 48, "%.0f .. %.0f us", low * 1e6, high * 1e6);
    else
        snprintf(out, 48, "%.3g .. %.3g %s", low / units[i].unit, high / units[i].unit,
                 units[i].name);
    return out;
}

static void print_term(const char *name, const struct term *term, const char *note, FILE *out)
{
    char size[32], error[32];

    if (!term->bytes && !term->error)
        return;
    fprintf(out, "  %-12s %12s", name, text_size(term->bytes, size));
    if (term->error)
        fprintf(out, "  +- %s", text_size(term->error, error));
    fprintf(out, "%s%s\n", *note ? "  " : "", note);
}

/* What is not known of the architecture, in one line. */
static void print_doubt(const struct arch *arch, const struct subject *s, FILE *out)
{
    char name[SHOWN_TEXT];

    if (s->demand.cache_known)
        return;
    text_escape(arch->name, strlen(arch->name), name, sizeof(name));
    fputs("  cache        not known: ", out);
    switch (arch->verdict) {
    case ARCH_UNNAMED:
        fputs("the model does not say what it is", out);
        break;
    case ARCH_INCOMPLETE:
        fprintf(out, "the file does not say its %s.%s", name, arch->missing);
        break;
    default:
        fprintf(out, "architecture \"%s\" is not among those known", name);
        break;
    }
    fputs("; nothing is counted for it (--cache SIZE)\n", out);
}

/* Parts that run one after the other. */
static void print_phases(const struct subject *s, FILE *out)
{
    for (size_t i = 0; s->n_phases > 1 && i < s->n_phases; i++) {
        const struct subject_phase *p = &s->phases[i];
        char weights[32], buffers[32], error[32];

        fprintf(out, "  %-12s %12s  and buffers of %s +- %s\n", p->name,
                text_size(p->bytes, weights), text_size(p->compute.bytes, buffers),
                text_size(p->compute.error, error));
    }
}

static void print_demand(const struct answer *a, FILE *out)
{
    const struct subject *s = a->given->subject;
    const struct demand *d = &s->demand;
    struct term weights = {s->bytes, 0};
    struct term driver = {a->given->machine.driver, a->given->machine.driver_error};
    char note[96] = "", used[48] = "";

    fputs("\nNeeds\n", out);
    if (s->expert_bytes && a->arch->n_experts_used < a->arch->n_experts)
        snprintf(used, sizeof(used), ", %.2f of them for a token", s->touched_numbers / 1e9);
    if (s->parameters)
        snprintf(note, sizeof(note), "%.2f billion parameters%s", (double)s->parameters / 1e9,
                 used);
    print_term("weights", &weights, note, out);
    snprintf(note, sizeof(note), "%" PRIu64 " tokens, %s", d->context, s->work.keys->name);
    if (a->arch->context && d->context > a->arch->context)
        snprintf(note, sizeof(note), "%" PRIu64 " tokens, %s; the model was made for %" PRIu64,
                 d->context, s->work.keys->name, (uint64_t)a->arch->context);
    print_phases(s, out);
    print_doubt(a->arch, s, out);
    print_term("cache", &d->cache, s->measured.cache ? "as measured" : note, out);
    print_term("states", &d->state, "", out);
    if (s->n_phases == 1)
        print_term("buffers", &d->compute, s->measured.compute ? "as measured" : "", out);
    print_term("driver", &driver, "context and libraries", out);
}

static void print_budget(const struct machine *m, FILE *out)
{
    char card[SHOWN_TEXT], device[32], memory[32], host[32], pinned[32], disk[32];

    fputs("\nBudget\n", out);
    if (m->without) {
        fprintf(out, "  card         none\n  host         %12s\n", text_size(m->host, host));
        return;
    }
    if (!m->has_card) {
        fprintf(out, "  not known: %s;\n  say what it is with --vram SIZE or --gpu CARD\n",
                m->why_not);
        return;
    }
    fprintf(out, "  card         %s%s\n", text_escape(m->card, strlen(m->card), card, sizeof(card)),
            m->profiled   ? ", rates measured"
            : m->what_if  ? ", as in the table"
            : m->measured ? ", measured"
                          : "");
    if (m->n_cards > 1)
        fprintf(out, "               the first of %u; CUDA_VISIBLE_DEVICES=1 asks for the next\n",
                m->n_cards);
    fprintf(out, "  device       %12s", text_size(m->device, device));
    if (m->memory)
        fprintf(out, "  of %s, beside the driver's share", text_size(m->memory, memory));
    fprintf(out, "\n  host         %12s  %s of it may be pinned\n", text_size(m->host, host),
            text_size(m->pinned, pinned));
    if (m->disk)
        fprintf(out, "  disk         %12s  for what fits neither\n", text_size(m->disk, disk));
    fprintf(out, "  link         %7.1f GB/s  %s\n", m->link_rate / 1e9, m->link);
}

/* What fits, where the card has not as much memory as the change wants. */
static const char *what_fits(const struct machine *m, const char *change)
{
    unsigned long long mib;

    if (!m->memory || sscanf(change, "--vram %lluMiB", &mib) != 1 ||
        mib <= less_u64(m->free, m->driver) / MIB)
        return "fits";
    return mib <= less_u64(m->memory, m->driver) / MIB ? "fits if others leave it," : "fits a card";
}

static void print_row(const struct answer *a, const struct strategy_result *r, FILE *out)
{
    const char *mark = r == a->strategies->recommended ? ">" : " ";
    char peak[32], host[32], time[48];

    fprintf(out, " %s %-16s", r == a->strategies->asked ? "*" : mark, r->name);
    if (!r->fits) {
        fprintf(out, " does not fit: %s of %s too few", text_size(r->short_by, peak),
                strategy_lack_name(r->lack));
        if (r->change[0])
            fprintf(out, "; %s with %s", what_fits(&a->given->machine, r->change), r->change);
        fputc('\n', out);
        return;
    }
    fprintf(out, " %10s %10s  ", text_size(r->peak, peak), text_size(r->host, host));
    if (a->compare)
        fprintf(out, "%-17s %-7s", range_text(r->low, r->high, time),
                strategies_speed(a->strategies, r));
    else
        fprintf(out, "%-20s", range_text(r->low, r->high, time));
    fprintf(out, " %-14s %s\n", r->bound, r->quality);
}

static void print_table(const struct answer *a, FILE *out)
{
    char title[32];

    snprintf(title, sizeof(title), "per %s", pass_name(a->given->subject));
    fprintf(out, "\n   %-16s %10s %10s  ", "strategy", "device", "host");
    fprintf(out, a->compare ? "%-17s speed  " : "%-20s", title);
    fprintf(out, " %-14s %s\n", "bound", "answers");
    for (size_t i = 0; i < a->strategies->n; i++) {
        const struct strategy_result *r = &a->strategies->list[i];

        if (a->compare || r == a->strategies->recommended || r == a->strategies->asked || i == 0)
            print_row(a, r, out);
    }
}

/* What somebody wants to be where. */
static void print_pins(const struct subject *s, FILE *out)
{
    for (size_t i = 0; i < s->n_pins; i++) {
        const struct subject_pin *pin = &s->pins[i];
        char name[SHOWN_TEXT], size[32];

        fprintf(out, "%s%s %s (%s) %s, as asked for\n", i ? "" : "\n",
                i ? "                " : "Pinned          ",
                text_escape(pin->name, strlen(pin->name), name, sizeof(name)),
                text_size(pin->bytes, size),
                pin->where == PLACE_ON_HOST ? "to host memory" : "to the device");
    }
}

/* What of which layer lies where. */
static void print_layers(const struct answer *a, FILE *out)
{
    const struct strategy_result *way = a->placed;
    char disk[32];

    layers_print(a->given->subject, way->name, out);
    if (way->disk)
        fprintf(out, "  of what does not stay, %s lie on the disk\n", text_size(way->disk, disk));
}

static void print_why(const struct answer *a, FILE *out)
{
    const struct strategy_result *best = strategies_taken(a->strategies);

    if (best)
        fprintf(out, "\n%-16s %s: %s\n", a->strategies->asked ? "Asked for" : "Because", best->help,
                best->why);
    for (size_t i = 0; a->compare && i < a->strategies->n; i++) {
        const struct strategy_result *r = &a->strategies->list[i];

        if (r->kind == STRATEGY_ADVICE && r->fits)
            fprintf(out, "%-16s %s: %s\n", r->name, r->help, r->why);
        if (r->kind == STRATEGY_ENGINE)
            fprintf(out, "%-16s %s\n", r->name, r->why);
    }
}

/* Flags with their numbers. */
static void print_flags(const struct answer *a, const char *flags, FILE *out)
{
    const struct demand *d = &a->given->subject->demand;

    for (; *flags; flags++) {
        if (flags[0] == '%' && flags[1] == 'c')
            fprintf(out, "%" PRIu64, d->context);
        else if (flags[0] == '%' && flags[1] == 'k')
            fprintf(out, "%" PRIu64, d->cache.bytes);
        else if (flags[0] == '%' && flags[1] == 't')
            fputs(machine_computing_type(&a->given->machine), out);
        else
            fputc(*flags, out);
        flags += flags[0] == '%';
    }
    fputc('\n', out);
}

static void print_engine(const struct answer *a, FILE *out)
{
    const struct engine_row *engine = a->given->engine;
    const struct strategy_result *best = strategies_taken(a->strategies);

    if (!engine)
        return;
    fprintf(out, "\nFor %s\n", engine->name);
    if (best && best->kind == STRATEGY_ENGINE) {
        fprintf(out, "  its own offload%s: %s\n", a->strategies->asked ? "" : " is faster here",
                engine->offload_flags);
        return;
    }
    fprintf(out, "  story        VRAMSHIM_STORY=%s\n  flags        ", engine->story);
    print_flags(a, engine->flags, out);
}

/* What would fit with the program's help, or another file. */
static void print_advice(const struct answer *a, FILE *out)
{
    fputc('\n', out);
    for (size_t i = 0; i < a->strategies->n; i++) {
        const struct strategy_result *r = &a->strategies->list[i];

        if (r->kind == STRATEGY_ADVICE && r->fits)
            fprintf(out, "%-16s would fit: %s\n", r->name, r->help);
    }
}

/* That nothing fits, or not what was asked for. */
static void print_no(const struct answer *a, FILE *out)
{
    const struct strategy_result *asked = a->strategies->asked;
    const struct strategy_result *best = a->strategies->recommended;
    const struct strategy_result *nearest = strategies_nearest(a->strategies);
    char few[32];

    if (a->given->subject->n_pins && nearest && !asked) {
        fprintf(out, "\nPinned so nothing fits; %s is short of %s of %s%s%s%s\n", nearest->name,
                text_size(nearest->short_by, few), strategy_lack_name(nearest->lack),
                nearest->change[0] ? ", and fits with " : "", nearest->change,
                a->fits_unpinned ? ", or without --pin" : "");
        return;
    }
    if (!asked || !best) {
        print_advice(a, out);
        fputs("Nothing fits: --compare says what is missing\n", out);
        return;
    }
    fprintf(out, "\n%s does not fit, but %s does: leave --strategy out\n",
            a->without ? "Without the library it" : asked->name, best->name);
}

static void print_next(const struct answer *a, FILE *out)
{
    const struct strategy_result *best = strategies_taken(a->strategies);
    const struct machine_request *given = a->request;
    char path[SHOWN_TEXT];

    if (!best) {
        print_no(a, out);
        return;
    }
    if (a->without) {
        fputs("\nNext             run the program as it is, without the library: none is no plan\n",
              out);
        return;
    }
    if (best->kind == STRATEGY_ADVICE) {
        fputs("\nNext             what it needs is the program's to do, or another file's\n", out);
        return;
    }
    if (best->kind == STRATEGY_ENGINE || strcmp(best->name, "resident") == 0) {
        fputs("\nNext             run the program as it is; the library would bring nothing\n",
              out);
        return;
    }
    fputs("\nNext             vramshim run", out);
    if (given->vram)
        fprintf(out, " --vram %s", given->vram);
    if (given->pinned)
        fprintf(out, " --ram %s", given->pinned);
    if (a->plan)
        fprintf(out, " --plan %s", text_escape(a->plan, strlen(a->plan), path, sizeof(path)));
    if (a->given->engine)
        fprintf(out, " --story %s", a->given->engine->story);
    if (strcmp(best->name, "in-place") == 0)
        fputs(" --engine none", out);
    if (strcmp(best->name, "spill") == 0)
        fputs(" --spill-dir DIRECTORY", out);
    fputs(" -- program arguments\n", out);
    if (!a->plan && (a->given->subject->n_pins ||
                     (a->strategies->asked && a->strategies->asked != a->strategies->recommended)))
        fputs("                 the library is told by a plan, with -o FILE here and --plan FILE "
              "there\n",
              out);
}

/* Which is no phase of its own: it never decides what there is room for. */
static void print_encoding(const struct subject *s, FILE *out)
{
    struct term encode = demand_encode(&s->work), decode = demand_decode(&s->work);
    char few[2][32];

    if (s->kind == SUBJECT_IMAGE && s->main_phase + 1 < s->n_phases)
        fprintf(
            out,
            "from an image   encoding it takes %s give or take 40 %%, less than decoding (%s)\n",
            text_size(encode.bytes, few[0]), text_size(decode.bytes, few[1]));
}

static void print_explanation(const struct answer *a, FILE *out)
{
    const struct machine *m = &a->given->machine;
    const struct arch *arch = a->arch;

    if (a->model)
        report_print_shares(a->model, out);
    if (arch->verdict == ARCH_KNOWN)
        fprintf(out, "\nmemory          %s; %u layers\n", arch_cache_name(arch->cache),
                arch->n_layers);
    if (arch->n_experts)
        fprintf(out, "experts         %u of %u for a token; all are taken as equally likely\n",
                arch->n_experts_used, arch->n_experts);
    fprintf(out,
            "rates           device memory %.0f GB/s, link %.1f (read in place %.1f, not pinned "
            "%.1f),\n                host memory %.0f, disk %.1f GB/s; %.0f TFLOP/s; %.1f us a "
            "launch\n",
            m->device_rate / 1e9, m->link_rate / 1e9, m->in_place_rate / 1e9,
            m->pageable_rate / 1e9, m->ram_rate / 1e9, m->disk_rate / 1e9, m->flops / 1e12,
            m->launch * 1e6);
    if (m->capability)
        fprintf(out, "computes in     %s (compute capability %u.%u)\n",
                machine_matrix_types(m->capability), m->capability / 10, m->capability % 10);
    print_encoding(a->given->subject, out);
    fputs("a pass          the longer of computing and copying, then what is read in place\n"
          "errors          weights and cache none; buffers a quarter, at least 128 MiB; times a\n"
          "                third, until a run is measured (--cache, --buffers, --driver, --pass)\n",
          out);
}

void answer_print(const struct answer *a, FILE *out)
{
    struct trap_facts facts;

    if (a->model)
        report_print(a->path, a->model, out);
    else
        fprintf(out, "%s\n", a->path ? a->path : "a mixture of experts");
    for (size_t i = 0; i < a->n_parts; i++)
        report_print_part(&a->parts[i], out);
    if (a->explain)
        print_explanation(a, out);
    print_demand(a, out);
    print_budget(&a->given->machine, out);
    if (!a->given->machine.has_card) {
        fputs(a->given->machine.without ? "" : "\nfit             not judged\n", out);
        fputs(
            "\nNext             without a card there is nothing to do: the program computes on the "
            "CPU,\n                 and the library moves nothing\n",
            out);
        return;
    }
    print_table(a, out);
    print_pins(a->given->subject, out);
    if (a->placed)
        print_layers(a, out);
    print_why(a, out);
    if (a->compare)
        guide_print(a->given, a->strategies, out);
    print_engine(a, out);
    premises_gather(a, &facts);
    warnings_print(&facts, a->explain, out);
    print_next(a, out);
}

/* SPDX-License-Identifier: MIT */
/*
 * What a pass reads of a tensor follows from its role: all of a dense one, of stacked experts those
 * that so many sequences are expected to choose if all are equally likely, of an embedding a row
 * per sequence, unless the same table is the output too.
 */
#include "planner/subject.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "planner/families.h"
#include "planner/order.h"
#include "runtime/util.h"

enum {
    LATENTS_PER_TOKEN = 4, /* of an image, and */
    IMAGINED_LAYERS = 64,
    TEXT_TOKENS = 512, /* beside them */
    PIXELS_PER_LATENT = 64,
};
/* Buffers of a text encoder: a few tens of MiB to twice this. */
#define ENCODING (64 * MIB)
/* Launches per tensor that is read: products, and what is between them. */
#define LAUNCHES 1.45
enum {
    /* Beside these, as llama.cpp has them: to choose experts, beside one for each that is used; and
     * around a convolution and the state behind it. */
    CHOOSING = 10,
    KEEPING = 8,
    KERNEL_MOST = 8, /* tokens that such a convolution spans */
};
/* Of a card's peak, what products of matrices reach. */
#define FLOPS_SHARE 0.55

/* Parts that a pass over text does not read. */
static bool is_idle(struct text name)
{
    static const char *const prefixes[] = {
        "v.",           "mm.",          "a.",
        "visual.",      "model.visual", "vision_tower.",
        "vision_model", "audio_tower.", "multi_modal_projector.",
        "mtp.",         "model.vision", "model.multi_modal_projector.",
    };

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (text_begins(name, prefixes[i]))
            return true;
    return text_has(name, ".nextn.");
}

/* The share of experts that so many sequences touch. */
static double experts_touched(const struct arch *arch, uint32_t batch)
{
    if (!arch->n_experts || arch->n_experts_used >= arch->n_experts)
        return 1;
    return 1 - pow(1 - (double)arch->n_experts_used / arch->n_experts, batch);
}

static const struct subject_part *part_of(const struct subject *subject, size_t piece)
{
    size_t i = 0;

    while (i + 1 < subject->n_parts && piece >= subject->parts[i].first + subject->parts[i].n)
        i++;
    return &subject->parts[i];
}

static double share_touched(const struct subject *subject, const struct tensor *tensor,
                            const struct subject_part *part, bool is_tied)
{
    uint64_t rows = tensor->dims[1] ? tensor->dims[1] : 1;

    if (part->role == INPUT_PROJECTOR || is_idle(tensor->name))
        return 0;
    switch (role_of(tensor->name)) {
    case ROLE_EXPERTS:
        return experts_touched(part->arch, subject->work.batch);
    case ROLE_EMBEDDING:
        if (subject->kind == SUBJECT_ENCODER)
            return fmin(1, (double)subject->work.micro / (double)rows);
        return is_tied ? 1 : fmin(1, (double)subject->work.batch / (double)rows);
    default:
        return 1;
    }
}

/* Of a model that is only imagined. */
static void touch_imagined(struct subject *s)
{
    double share = experts_touched(s->arch, s->work.batch);

    for (size_t i = 0; i < s->n_pieces; i++) {
        struct place_piece *piece = &s->pieces[i];

        piece->touched = (uint64_t)((double)piece->bytes * (piece->expert ? share : 1));
        piece->dense = !piece->expert || share >= 1;
    }
    s->touched_numbers = s->phases[s->main_phase].numbers = s->active;
}

static double more_launches(const struct tensor *tensor, const struct arch *arch)
{
    struct text name = tensor->name;

    if (arch->n_experts && tensor->n_dims == 2 && tensor->dims[1] == arch->n_experts &&
        (text_has(name, "gate") || text_has(name, "router")))
        return CHOOSING + arch->n_experts_used;
    return tensor->n_dims >= 2 && tensor->dims[0] <= KERNEL_MOST && text_has(name, "conv") ? KEEPING
                                                                                           : 0;
}

static void touch_phase(struct subject *s, struct subject_phase *phase, bool is_tied)
{
    phase->numbers = phase->more_launches = 0;
    for (size_t i = phase->first; i < phase->first + phase->n; i++) {
        const struct subject_part *part = part_of(s, i);
        double share = share_touched(s, s->tensors[i], part, is_tied);
        struct place_piece *piece = &s->pieces[i];
        bool is_expert = role_of(s->tensors[i]->name) == ROLE_EXPERTS;

        piece->touched = (uint64_t)((double)piece->bytes * share);
        piece->dense = share >= 1;
        piece->expert = is_expert && share > 0;
        if (share > 0)
            phase->more_launches += more_launches(s->tensors[i], part->arch);
        if (part->role != INPUT_SECOND)
            phase->numbers += (double)model_parameters(s->tensors[i]) *
                              (is_expert ? experts_touched(part->arch, 1) : share);
    }
}

static void touch_pieces(struct subject *s)
{
    bool is_tied = true;

    if (!s->tensors) {
        touch_imagined(s);
        return;
    }

    for (size_t i = 0; i < s->n_pieces; i++)
        is_tied &= !text_equal(s->tensors[i]->name, "output.weight") &&
                   !text_equal(s->tensors[i]->name, "lm_head.weight");
    for (size_t i = 0; i < s->n_phases; i++)
        touch_phase(s, &s->phases[i], is_tied);
    s->touched_numbers = s->phases[s->main_phase].numbers;
}

/* Room for so many more pieces. */
static int grow(struct subject *s, size_t more)
{
    size_t n = s->n_pieces + more + 1;
    struct place_piece *pieces = reallocarray(s->pieces, n, sizeof(*pieces));
    const struct tensor **tensors;

    if (!pieces)
        return -ENOMEM;
    s->pieces = pieces;
    tensors = reallocarray(s->tensors, n, sizeof(const struct tensor *));
    if (!tensors)
        return -ENOMEM;
    s->tensors = tensors;
    memset(&pieces[s->n_pieces], 0, (more + 1) * sizeof(*pieces));
    return 0;
}

/* Appends them in the order of a pass. */
static int take_tensors(struct subject *s, const struct input *input)
{
    struct order *order = calloc(input->n_tensors + 1, sizeof(*order));
    size_t first = s->n_pieces;

    if (!order || s->n_parts == INPUTS_MAX || grow(s, input->n_tensors)) {
        free(order);
        return -ENOMEM;
    }
    for (size_t i = 0; i < input->n_tensors; i++)
        order[i] = order_of(&input->tensors[i], i);
    qsort(order, input->n_tensors, sizeof(*order), order_compare);
    for (size_t i = 0; i < input->n_tensors; i++) {
        s->tensors[first + i] = order[i].tensor;
        s->pieces[first + i].bytes = order[i].tensor->bytes;
        s->parameters += model_parameters(order[i].tensor);
        s->n_blocks += order_begins_block(&order[i], i ? &order[i - 1] : NULL);
        if (role_of(order[i].tensor->name) == ROLE_EXPERTS)
            s->expert_bytes += order[i].tensor->bytes;
    }
    s->parts[s->n_parts++] = (struct subject_part){.first = first,
                                                   .n = input->n_tensors,
                                                   .role = input->role,
                                                   .path = input->path,
                                                   .arch = &input->arch};
    s->n_pieces += input->n_tensors;
    free(order);
    return 0;
}

static const char *phase_name(enum subject_kind kind)
{
    static const char *const names[] = {
        [SUBJECT_LANGUAGE] = "decode",
        [SUBJECT_ENCODER] = "encode",
        [SUBJECT_IMAGE] = "denoise",
    };

    return names[kind];
}

static enum subject_kind kind_of(const struct arch *arch)
{
    if (arch->verdict == ARCH_UNKNOWN && family_find(arch->name) != NULL)
        return SUBJECT_IMAGE;
    return arch->verdict == ARCH_KNOWN && arch->cache == ARCH_CACHE_NONE ? SUBJECT_ENCODER
                                                                         : SUBJECT_LANGUAGE;
}

/* A draft keeps as many tokens as the model whose words it guesses. */
static void judge_draft(const struct arch *arch, const struct workload *work, struct demand *out)
{
    struct workload same = *work;
    struct demand draft;

    same.context = out->context;
    demand_judge(arch, &same, &draft);
    out->cache_known &= draft.cache_known;
    out->cache.bytes += draft.cache.bytes;
    out->state.bytes += draft.state.bytes;
    out->compute.bytes += draft.compute.bytes;
    out->compute.error += draft.compute.error;
}

/* What was measured is the most that any phase took. */
static struct term buffers_of(const struct subject *s, size_t phase)
{
    struct term term = s->demand.compute;

    if (phase < s->main_phase)
        term = (struct term){ENCODING, ENCODING};
    else if (phase > s->main_phase)
        term = demand_decode(&s->work);
    return s->measured.compute && term.bytes > s->measured.compute ? s->demand.compute : term;
}

void subject_judge(struct subject *s, const struct workload *work)
{
    const struct family *family = family_find(s->arch->name);

    s->work = *work;
    demand_judge(s->arch, work, &s->demand);
    for (size_t i = 0; i < s->n_parts; i++)
        if (s->parts[i].role == INPUT_DRAFT)
            judge_draft(s->parts[i].arch, work, &s->demand);
    if (s->kind == SUBJECT_IMAGE && family) {
        s->demand.compute = demand_denoise(work, family->factor);
        s->demand.cache_known = true;
    }
    if (s->measured.cache) {
        s->demand.cache = (struct term){s->measured.cache, 0};
        s->demand.state = (struct term){0, 0};
        s->demand.cache_known = true;
    }
    if (s->measured.compute)
        s->demand.compute = (struct term){s->measured.compute, s->measured.compute / 50};
    touch_pieces(s);
    for (size_t i = 0; i < s->n_phases; i++)
        s->phases[i].compute = buffers_of(s, i);
    for (size_t i = 0; i < s->n_phases; i++)
        s->phases[i].runs = i == s->main_phase ? 1 : 1.0 / (work->steps ? work->steps : 1);
}

int subject_init(struct subject *out, const struct model *model, const struct arch *arch,
                 const struct workload *work, const struct measured *measured)
{
    int r;

    memset(out, 0, sizeof(*out));
    out->arch = arch;
    out->measured = *measured;
    out->kind = kind_of(arch);
    out->bytes = model->bytes;
    r = take_tensors(out, model->input);
    if (r) {
        subject_fini(out);
        return r;
    }
    out->n_phases = 1;
    out->phases[0] = (struct subject_phase){
        .name = phase_name(out->kind), .n = out->n_pieces, .bytes = out->bytes, .runs = 1};
    subject_judge(out, work);
    return 0;
}

/* So many layers, of a dense part and a stack of experts each. */
static int imagine_pieces(struct subject *s, const struct subject_moe *moe, uint64_t dense,
                          uint64_t experts)
{
    s->n_pieces = 2 * IMAGINED_LAYERS;
    s->n_blocks = IMAGINED_LAYERS;
    s->pieces = calloc(s->n_pieces, sizeof(*s->pieces));
    if (!s->pieces)
        return -ENOMEM;
    for (size_t i = 0; i < IMAGINED_LAYERS; i++) {
        s->pieces[2 * i].bytes = dense * (i + 1) / IMAGINED_LAYERS - dense * i / IMAGINED_LAYERS;
        s->pieces[2 * i + 1].bytes =
            experts * (i + 1) / IMAGINED_LAYERS - experts * i / IMAGINED_LAYERS;
        s->pieces[2 * i].dense = true;
        s->pieces[2 * i + 1].expert = true;
    }
    return 0;
}

int subject_imagine(struct subject *out, const struct subject_moe *moe, struct arch *arch,
                    const struct workload *work, const struct measured *measured)
{
    double share = moe->n_experts ? (double)moe->n_used / moe->n_experts : 0;
    double experts = (moe->parameters - moe->active) / (1 - share);
    uint64_t bytes = (uint64_t)(experts * moe->bits / 8);
    int r;

    memset(out, 0, sizeof(*out));
    memset(arch, 0, sizeof(*arch));
    arch->verdict = ARCH_UNNAMED;
    arch->n_experts = moe->n_experts;
    arch->n_experts_used = moe->n_used;
    out->arch = arch;
    out->measured = *measured;
    out->parameters = moe->weighed ? 0 : (uint64_t)moe->parameters;
    out->bytes = (uint64_t)(moe->parameters * moe->bits / 8);
    out->expert_bytes = min_u64(bytes, out->bytes);
    r = imagine_pieces(out, moe, out->bytes - out->expert_bytes, out->expert_bytes);
    if (r)
        return r;
    out->n_phases = 1;
    out->phases[0] = (struct subject_phase){
        .name = "decode", .n = out->n_pieces, .bytes = out->bytes, .runs = 1};
    out->active = moe->active;
    subject_judge(out, work);
    return 0;
}

/* A phase of its own, before the main one or behind it. */
static void insert_phase(struct subject *s, const struct model *model, size_t first)
{
    bool is_decoder = model->input->role == INPUT_DECODER;
    size_t at = is_decoder ? s->n_phases : s->main_phase;

    memmove(&s->phases[at + 1], &s->phases[at], (s->n_phases - at) * sizeof(s->phases[0]));
    s->phases[at] = (struct subject_phase){.name = is_decoder ? "decode" : "encode",
                                           .first = first,
                                           .n = s->n_pieces - first,
                                           .bytes = model->bytes};
    s->n_phases++;
    s->main_phase += !is_decoder;
}

int subject_add(struct subject *s, const struct model *model)
{
    struct subject_phase *main = &s->phases[s->main_phase];
    struct workload work = s->work;
    size_t first = s->n_pieces;
    int r = take_tensors(s, model->input);

    if (r)
        return r;
    if (model->input->role == INPUT_ENCODER || model->input->role == INPUT_DECODER) {
        insert_phase(s, model, first);
    } else {
        main->n += s->n_pieces - first;
        main->bytes += model->bytes;
    }
    s->bytes += model->bytes;
    subject_judge(s, &work);
    return 0;
}

void subject_fini(struct subject *subject)
{
    free(subject->pieces);
    free(subject->tensors);
    subject->pieces = NULL;
    subject->tensors = NULL;
}

uint64_t subject_written(const struct subject *subject, size_t phase, uint64_t *error)
{
    const struct demand *demand = &subject->demand;
    const struct term *compute = &subject->phases[phase].compute;

    if (error)
        *error = demand->cache.error + demand->state.error + compute->error;
    return demand->cache.bytes + demand->state.bytes + compute->bytes;
}

uint64_t subject_pinned_in(const struct subject *s, size_t phase, enum place_pin where)
{
    const struct subject_phase *p = &s->phases[phase];
    uint64_t bytes = 0;

    for (size_t i = p->first; s->n_pins && i < p->first + p->n; i++)
        bytes += s->pieces[i].pin == where ? s->pieces[i].bytes : 0;
    return bytes;
}

uint64_t subject_pinned(const struct subject *s, enum place_pin where)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < s->n_phases; i++)
        bytes += subject_pinned_in(s, i, where);
    return bytes;
}

double subject_tokens(const struct subject *s)
{
    double latents = (double)s->work.width * s->work.height / PIXELS_PER_LATENT;

    switch (s->kind) {
    case SUBJECT_IMAGE:
        return s->work.batch * (latents / LATENTS_PER_TOKEN + TEXT_TOKENS);
    case SUBJECT_ENCODER:
        return s->work.micro;
    default:
        return s->work.batch;
    }
}

/* That a phase computes at once: text, what the main one has, or latents on their way to pixels. */
static double positions(const struct subject *s, size_t phase)
{
    if (phase < s->main_phase)
        return (double)s->work.batch * TEXT_TOKENS;
    if (phase > s->main_phase)
        return (double)s->work.width * s->work.height / LATENTS_PER_TOKEN * s->work.batch / 4;
    return subject_tokens(s);
}

/* Of experts that are tensors each, those that are chosen are computed; a stack is at once. */
static double launches(const struct subject *s, size_t piece)
{
    const struct place_piece *p = &s->pieces[piece];
    const struct tensor *t = s->tensors ? s->tensors[piece] : NULL;

    if (!p->touched)
        return 0;
    if (p->expert && t && t->n_dims && t->dims[t->n_dims - 1] != part_of(s, piece)->arch->n_experts)
        return LAUNCHES * (double)p->touched / (double)p->bytes;
    return LAUNCHES;
}

struct subject_cost subject_cost(const struct subject *s, size_t phase, double device_rate,
                                 double flops, double launch)
{
    const struct subject_phase *p = &s->phases[phase];
    double bytes = (double)s->demand.cache.bytes + (double)s->demand.state.bytes;
    double reading, computing, launching = p->more_launches * launch;
    struct subject_cost cost = {.seconds = s->measured.pass, .bound = "as measured"};

    if (s->measured.pass > 0 && phase == s->main_phase)
        return cost;
    for (size_t i = p->first; i < p->first + p->n; i++) {
        bytes += (double)s->pieces[i].touched;
        launching += launches(s, i) * launch;
    }
    reading = bytes / device_rate;
    computing = 2 * p->numbers * positions(s, phase) / (flops * FLOPS_SHARE);
    cost.seconds = (reading > computing ? reading : computing) + launching;
    cost.bound = reading > computing ? "device memory" : "compute";
    if (launching > reading && launching > computing)
        cost.bound = "launches";
    return cost;
}
